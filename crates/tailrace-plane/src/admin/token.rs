//! The token that a change over the admin port must carry.
//!
//! The failure prevented is a change by whoever reaches the port: a web page in a browser of the
//! same machine, a neighbour in the same network. Reading is open to local names; every POST needs
//! `Authorization: Bearer <token>`, which no page of another origin can add unasked. The token
//! comes from a file or from the environment, never from the blueprint, which the admin port shows.
//! Without one nothing can be changed.
//!
//! Limits: it is read once, when the plane starts.

use std::fmt;
use std::fs;

/// The variable that holds the token where no file is named.
pub const VARIABLE: &str = "TAILRACE_ADMIN_TOKEN";
/// A shorter one can be guessed.
const LENGTH_MIN: usize = 16;

/// A secret; neither shown nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// Why a change is refused: status and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub words: &'static str,
}

const UNSET: Refused = Refused {
    status: 403,
    words: "no admin token is set, so nothing can be changed here; name a file with \
            listen.admin_token_file or set TAILRACE_ADMIN_TOKEN, and restart\n",
};
const WRONG: Refused = Refused {
    status: 401,
    words: "a change needs `Authorization: Bearer <admin token>`\n",
};

impl Token {
    /// The token of the file at `path`, else of the environment; `None` when there is neither.
    pub fn find(path: Option<&str>) -> Result<Option<Self>, String> {
        if let Some(path) = path {
            let read = fs::read_to_string(path)
                .map_err(|error| format!("listen.admin_token_file {path}: {error}"))?;
            return Self::new(&read)
                .map(Some)
                .map_err(|why| format!("listen.admin_token_file {path}: {why}"));
        }
        match std::env::var(VARIABLE) {
            Ok(text) => Self::new(&text)
                .map(Some)
                .map_err(|why| format!("{VARIABLE}: {why}")),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(format!("{VARIABLE} is no text")),
        }
    }

    /// Space and line ends around it are not part of it: files end with a line end.
    fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < LENGTH_MIN {
            return Err(format!(
                "the admin token has fewer than {LENGTH_MIN} characters; \
                 `openssl rand -hex 16` makes one"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the admin token has a space or a character beyond ASCII".to_owned());
        }
        Ok(Self(text.as_bytes().to_vec()))
    }

    /// Whether a request with this `Authorization` may change something.
    pub fn admit(token: Option<&Self>, authorization: Option<&[u8]>) -> Result<(), Refused> {
        let Some(token) = token else {
            return Err(UNSET);
        };
        let given = authorization.and_then(|value| {
            let (scheme, rest) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest)
        });
        if given.is_some_and(|given| token.is(given.trim_ascii())) {
            Ok(())
        } else {
            Err(WRONG)
        }
    }

    /// Every byte is looked at, whatever the first one says: the time tells only the length.
    fn is(&self, given: &[u8]) -> bool {
        let differ = self
            .0
            .iter()
            .zip(given)
            .fold(0, |differ, (a, b)| differ | (a ^ b));
        self.0.len() == given.len() && differ == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, UNSET, WRONG};

    const GOOD: &str = "0123456789abcdef";

    // RELIABILITY S24: a change needs the token, all of it and nothing else.
    #[test]
    fn only_the_whole_token_admits() {
        let token = Token::new(&format!("  {GOOD}\n")).unwrap();
        let ask = |value: &str| Token::admit(Some(&token), Some(value.as_bytes()));
        assert_eq!(ask(&format!("Bearer {GOOD}")), Ok(()));
        assert_eq!(ask(&format!("bearer  {GOOD}")), Ok(()));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            GOOD,
            &format!("Basic {GOOD}"),
            &format!("Bearer {}", &GOOD[1..]),
            &format!("Bearer {GOOD}0"),
            &format!("Bearer {}", GOOD.to_uppercase()),
        ] {
            assert_eq!(ask(wrong), Err(WRONG), "{wrong:?}");
        }
        assert_eq!(Token::admit(Some(&token), None), Err(WRONG));
        assert_eq!(Token::admit(None, Some(b"Bearer ")), Err(UNSET));
    }

    #[test]
    fn a_token_that_can_be_guessed_or_cannot_be_sent_is_refused() {
        for bad in [
            "",
            "short",
            "0123456789abcde",
            "0123456789 abcdef",
            "pässwort-pässwort",
        ] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Token::new(GOOD)), "Ok(Token(***))");
        assert!(Token::find(Some("/nowhere/token")).is_err_and(|why| why.contains("/nowhere")));
    }
}
