//! Patterns over names: `*` is any run of characters, `?` is any one.

use vocab::ModelName;
use vocab::name::{BadPattern, check_pattern};

/// A pattern made of the characters of names only: what else it might hold is a language we do not speak, and
/// whoever wrote it meant something by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    pub fn new(text: &str) -> Result<Glob, BadPattern> {
        check_pattern(text).map(|()| Glob(Box::from(text)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn matches(&self, name: &ModelName) -> bool {
        matches(self.0.as_bytes(), name.as_str().as_bytes())
    }
}

/// Any of several patterns. None matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Globs(Box<[Glob]>);

impl Globs {
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Globs, BadPattern> {
        texts.into_iter().map(Glob::new).collect::<Result<_, _>>().map(Globs)
    }

    #[must_use]
    pub fn matches(&self, name: &ModelName) -> bool {
        self.0.iter().any(|glob| glob.matches(name))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Glob> {
        self.0.iter()
    }
}

/// Where to go on when what follows the last `*` does not fit: the `*` takes one byte more.
struct Star<'a> {
    pattern: &'a [u8],
    name: &'a [u8],
}

/// Only the last `*` is ever gone back to: if it cannot be stretched far enough, no earlier one could help, because
/// what stands before it has been matched as early as possible. Hence at most one comparison for each pair of bytes,
/// whatever the pattern. Names and patterns are ASCII, so that a byte is a character.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    let mut star: Option<Star<'_>> = None;
    loop {
        match (pattern, name) {
            ([b'*'], _) | ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                pattern = rest;
                star = Some(Star { pattern, name });
            }
            ([wanted, pattern_rest @ ..], [found, name_rest @ ..]) if *wanted == b'?' || wanted == found => {
                pattern = pattern_rest;
                name = name_rest;
            }
            _ => {
                let Some(Star { pattern: after, name: [_, rest @ ..] }) = star else { return false };
                pattern = after;
                name = rest;
                star = Some(Star { pattern, name });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expected: bool) {
        let globs = Globs::new([pattern]).unwrap();
        assert_eq!(globs.matches(&ModelName::new(name).unwrap()), expected, "{pattern} and {name}");
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        check("gpt-4o", "gpt-4o", true);
        check("gpt-4o", "gpt-4o-mini", false);
        check("gpt-4o", "gpt-4", false);
        check("GPT-4o", "gpt-4o", false);
    }

    #[test]
    fn a_star_is_any_run_slashes_included() {
        check("*", "a", true);
        check("**", "openai/gpt-4o:free", true);
        check("openai/*", "openai/gpt-4o", true);
        check("openai/*", "openai/", true);
        check("openai/*", "azure/gpt-4o", false);
        check("*mini", "gpt-4o-mini", true);
        check("*-4o-*", "gpt-4o-mini", true);
        check("a*b*c", "a-b-b-c-b-c", true);
        check("a*b*c", "a-c-b", false);
        check("*ab", "aab", true);
    }

    #[test]
    fn a_question_mark_is_one_character() {
        check("gpt-?", "gpt-4", true);
        check("gpt-?", "gpt-", false);
        check("gpt-?", "gpt-4o", false);
        check("?*", "a", true);
        check("*?o", "gpt-4o", true);
        check("??", "a", false);
    }

    #[test]
    fn no_pattern_matches_nothing() {
        assert!(!Globs::new([]).unwrap().matches(&ModelName::new("a").unwrap()));
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_length_times_the_name() {
        // With two to the hundredth ways to lay the stars this would not end.
        check(&"*a".repeat(100), &"a".repeat(200), true);
        check(&format!("{}b", "*a".repeat(99)), &"a".repeat(200), false);
        check(&format!("{}b", "*?".repeat(99)), &"a".repeat(200), false);
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_a_reason() {
        assert_eq!(Glob::new(""), Err(BadPattern::Empty));
        assert_eq!(Glob::new(&"*".repeat(201)), Err(BadPattern::TooLong));
        for (text, character) in [("gpt-[34]", '['), ("{a,b}", '{'), ("!gpt", '!'), ("a b", ' '), ("é*", 'é')] {
            assert_eq!(Glob::new(text), Err(BadPattern::Character(character)), "{text}");
        }
    }
}
