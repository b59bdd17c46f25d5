//! Command lines. A misspelt option that is silently ignored measures the wrong thing, so the
//! options of each verb are a closed table: unknown names, missing and malformed values are errors
//! that say what would be right.

use crate::failure::Failure;
use crate::suggest;
use std::fmt::{Display, Write};
use std::str::FromStr;

/// One option: name, the placeholder of its value (empty for a switch), and what it does.
pub(crate) type Opt = (&'static str, &'static str, &'static str);

pub(crate) struct Args {
    given: Vec<(&'static str, String)>,
}

/// `--help` was asked for, or the arguments.
pub(crate) enum Parsed {
    Help,
    Args(Args),
}

pub(crate) fn parse(args: &[String], options: &[Opt]) -> Result<Parsed, Failure> {
    let names: Vec<&str> = options.iter().map(|o| o.0).collect();
    let mut given = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--help" || arg == "-h" {
            return Ok(Parsed::Help);
        }
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let Some(option) = options.iter().find(|o| o.0 == name) else {
            let hint = suggest::hint(name, &names);
            return Err(Failure::usage(format!("unknown option `{name}`{hint}")));
        };
        let value = match (option.1.is_empty(), inline) {
            (true, None) => String::new(),
            (true, Some(_)) => {
                return Err(Failure::usage(format!("`{name}` takes no value")));
            }
            (false, Some(value)) => value,
            (false, None) => match rest.next() {
                Some(value) => value.clone(),
                None => {
                    return Err(Failure::usage(format!(
                        "`{name}` needs a value: {}",
                        option.1
                    )))
                }
            },
        };
        given.push((option.0, value));
    }
    Ok(Parsed::Args(Args { given }))
}

impl Args {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(n, _)| *n == name)
    }

    /// The last value given wins, as in most programs.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given
            .iter()
            .rev()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.given
            .iter()
            .filter(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
            .collect()
    }

    pub(crate) fn number<T>(&self, name: &str, default: T, least: T, most: T) -> Result<T, Failure>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        match text.parse::<T>() {
            Ok(value) if value >= least && value <= most => Ok(value),
            _ => Err(Failure::usage(format!(
                "`{name}` is a number from {least} to {most}, not `{text}`"
            ))),
        }
    }
}

/// Help text: purpose, examples, options; 80 columns.
pub(crate) fn help(purpose: &str, examples: &[&str], options: &[Opt]) -> String {
    let mut text = format!("{purpose}\n\nExamples:\n");
    for example in examples {
        let _ = writeln!(text, "  {example}");
    }
    text.push_str("\nOptions:\n");
    for (name, value, what) in options {
        let left = if value.is_empty() {
            (*name).to_owned()
        } else {
            format!("{name} {value}")
        };
        let _ = writeln!(text, "  {left:<25} {what}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[("--rate", "N", "requests"), ("--histogram", "", "buckets")];

    fn args(words: &[&str]) -> Result<Args, String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        match parse(&words, OPTIONS) {
            Ok(Parsed::Args(args)) => Ok(args),
            Ok(Parsed::Help) => Err("help".to_owned()),
            Err(failure) => Err(failure.message),
        }
    }

    #[test]
    fn values_come_inline_or_next_and_the_last_wins() {
        let parsed = args(&["--rate", "5", "--rate=7", "--histogram"]).unwrap();
        assert_eq!(parsed.number("--rate", 1, 1, 10).unwrap(), 7);
        assert_eq!(parsed.all("--rate"), ["5", "7"]);
        assert!(parsed.has("--histogram"));
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        assert_eq!(
            args(&["--rates", "5"]).err().unwrap(),
            "unknown option `--rates` (did you mean `--rate`?)"
        );
        assert_eq!(
            args(&["--rate"]).err().unwrap(),
            "`--rate` needs a value: N"
        );
        assert_eq!(
            args(&["--histogram=1"]).err().unwrap(),
            "`--histogram` takes no value"
        );
        let parsed = args(&["--rate", "ten"]).unwrap();
        assert_eq!(
            parsed.number("--rate", 1, 1, 10).err().unwrap().message,
            "`--rate` is a number from 1 to 10, not `ten`"
        );
    }
}
