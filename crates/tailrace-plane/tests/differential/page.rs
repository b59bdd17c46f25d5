//! `docs/reference/leniency.md` says what the tables here say.

use super::strictness::STRICTER;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../../../docs/reference/leniency.md");
const CODEC: &str = include_str!("../../src/h1/mod.rs");

fn section(title: &str) -> &'static str {
    let (_, rest) = PAGE
        .split_once(&format!("## {title}\n"))
        .unwrap_or_else(|| panic!("no section {title}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

/// Code -> the counts of the readers, hyper first.
fn codes() -> BTreeMap<&'static str, Vec<usize>> {
    let lines = section("By code")
        .lines()
        .filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let number = |cell: &&str| cell.parse().expect("a number of rows");
            assert!(!cells[5].is_empty(), "no reason: {line}");
            (
                cells[0].trim_matches('`'),
                cells[1..5].iter().map(number).collect(),
            )
        })
        .collect()
}

#[test]
fn the_page_has_the_codes_of_the_table_and_hypers_counts() {
    let page: BTreeMap<_, _> = codes()
        .into_iter()
        .map(|(code, all)| (code, all[0]))
        .collect();
    let table = STRICTER.map(|(code, requests, responses)| (code, requests + responses));
    assert_eq!(page, BTreeMap::from(table));
}

#[test]
fn every_code_of_the_page_is_accepted_by_someone() {
    for (code, counts) in codes() {
        assert!(
            counts.iter().any(|count| *count > 0),
            "{code}: nobody accepts it: remove it"
        );
    }
}

/// RELIABILITY S01: at most five leniencies, each argued; the codec's own list is among them.
#[test]
fn the_leniencies_are_at_most_five_and_argued() {
    let entries: Vec<_> = section("Our leniencies").split("\n### ").skip(1).collect();
    assert!(entries.len() <= 5, "{} leniencies", entries.len());
    for entry in &entries {
        let (title, argument) = entry.split_once("\n\n").expect("a title and an argument");
        assert!(argument.len() > 100, "{title} is not argued");
    }
    let items = CODEC.lines().filter(|line| {
        let text = line.trim_start_matches("//! ");
        text.starts_with(|first: char| first.is_ascii_digit()) && text[1..].starts_with(". ")
    });
    let listed = items.count();
    assert!(
        listed > 0 && listed <= entries.len(),
        "the codec lists {listed}"
    );
}
