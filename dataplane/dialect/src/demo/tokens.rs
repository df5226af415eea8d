//! The demo's own tokenizer: pieces that make up the text again when put together.

/// A long word is more than one token, as with the real ones.
const WORD_CHARS_MAX: usize = 8;

/// White space belongs to the piece that follows it.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut word_chars = 0;
    let mut was_space = true;
    for (at, character) in text.char_indices() {
        let is_word = character.is_alphanumeric();
        let is_space = character.is_whitespace();
        let goes_on = was_space || (is_word && 0 < word_chars && word_chars < WORD_CHARS_MAX);
        if !goes_on {
            pieces.extend(text.get(start..at));
            start = at;
            word_chars = 0;
        }
        word_chars = if is_word { word_chars + 1 } else { 0 };
        was_space = is_space;
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

pub(super) fn count(text: &str) -> usize {
    pieces(text).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_text_again() {
        for text in
            ["", " ", "Hello, world!", "  two  spaces ", "internationalisation", "héllo 漢字 👍🏽\n\nend", "a.b.c"]
        {
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(pieces("Hello, world!"), ["Hello", ",", " world", "!"]);
        assert_eq!(count("internationalisation"), 3);
    }
}
