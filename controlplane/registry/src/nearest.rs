//! "Did you mean": the word that was probably meant, if there is one.

/// Words longer than this are not typing errors of ours.
const LENGTH_MAX: usize = 40;

/// The candidate at the smallest distance, if it is close enough to be a slip of the hand; of several the first by name.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > LENGTH_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let allowed = match word.len() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    let close = candidates.into_iter().filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed);
    let scored = close.map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate));
    scored.filter(|(distance, _)| *distance <= allowed).min().map(|(_, best)| best)
}

/// `; did you mean `x`?`, or nothing.
pub(crate) fn hint<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map(|best| format!("; did you mean `{best}`?")).unwrap_or_default()
}

/// Insertions, deletions, replacements, and neighbours that changed places.
fn distance(left: &str, right: &str) -> usize {
    let [left, right] = [left, right].map(|word| word.chars().collect::<Vec<_>>());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (line, ours) in left.iter().enumerate() {
        let mut row = vec![line.saturating_add(1)];
        for (column, theirs) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&above, column).saturating_add(usize::from(ours != theirs));
            let inserted = at(&row, column).saturating_add(1);
            let deleted = at(&above, column.saturating_add(1)).saturating_add(1);
            let last = |word: &[char], at: usize| at.checked_sub(1).and_then(|at| word.get(at).copied());
            let crossed = last(&left, line) == Some(*theirs) && last(&right, column) == Some(*ours);
            let swapped = column.checked_sub(1).filter(|_| crossed).map_or(usize::MAX, |column| at(&before, column));
            row.push(replaced.min(inserted).min(deleted).min(swapped.saturating_add(1)));
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_the_slips() {
        for (left, right, expected) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("same", "same", 0),
            ("ab", "ba", 1),
            ("model", "mdoel", 1),
            ("", "", 0),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["baseUrl", "credential", "targets", "ca"];
        assert_eq!(nearest("baseurl", known), Some("baseUrl"));
        assert_eq!(nearest("credentail", known), Some("credential"));
        assert_eq!(nearest("target", known), Some("targets"));
        assert_eq!(nearest("ac", known), None);
        assert_eq!(nearest("mockx", ["mocks", "mocka"]), Some("mocka"));
        assert_eq!(nearest("budget", known), None);
        assert_eq!(nearest("cb", known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }
}
