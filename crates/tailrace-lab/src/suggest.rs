//! "Did you mean": a misspelt name costs a look into the manual unless the error names its
//! neighbour. Plain edit distance; a suggestion only when it is close enough to be a slip.

/// The nearest of `names`, when at most a third of its letters (and at least two) differ.
pub(crate) fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    names
        .iter()
        .map(|name| (distance(word, name), *name))
        .filter(|(d, name)| *d <= (name.len() / 3).max(2) && *d < name.len())
        .min_by_key(|(d, _)| *d)
        .map(|(_, name)| name)
}

/// ` (did you mean ...?)` or nothing.
pub(crate) fn hint(word: &str, names: &[&str]) -> String {
    nearest(word, names).map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = ["errors", "hang", "reset", "slow_body"];
        assert_eq!(nearest("error", &names), Some("errors"));
        assert_eq!(nearest("slowbody", &names), Some("slow_body"));
        assert_eq!(nearest("rset", &names), Some("reset"));
        assert_eq!(nearest("teapot", &names), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
