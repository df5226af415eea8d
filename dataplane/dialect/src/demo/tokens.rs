//! The demo's tokens: a word or a sign, with the white space before it.

/// A long word is more than one token, as with real ones.
const WORD_CHARS_MAX: usize = 12;

/// The tokens of a text; together they are the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at_checked(first_length(rest))?;
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

pub(super) fn count(text: &str) -> u64 {
    pieces(text).map(|_| 1).sum()
}

fn first_length(text: &str) -> usize {
    let word = text.trim_start();
    let space = text.len() - word.len();
    // Letters of scripts that write no spaces are tokens of their own, as all signs are.
    let letters = word.char_indices().take(WORD_CHARS_MAX).take_while(|(_, letter)| is_of_word(*letter));
    let length = letters.last().map(|(at, letter)| at + letter.len_utf8());
    space + length.or_else(|| word.chars().next().map(char::len_utf8)).unwrap_or(0)
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() && letter < '\u{2e80}'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn a_token_is_a_word_or_a_sign_with_the_space_before_it() {
        let tokens: Vec<&str> = pieces("Hi,  w\u{f6}rld!\n\u{4f60}\u{597d} supercalifragilistic ").collect();
        assert_eq!(
            tokens,
            ["Hi", ",", "  w\u{f6}rld", "!", "\n\u{4f60}", "\u{597d}", " supercalifra", "gilistic", " "]
        );
        assert_eq!((count(""), count(" "), count("a b")), (0, 1, 2));
    }

    proptest! {
        #[test]
        fn the_tokens_are_the_text(text in ".*") {
            assert_eq!(pieces(&text).collect::<String>(), text);
        }
    }
}
