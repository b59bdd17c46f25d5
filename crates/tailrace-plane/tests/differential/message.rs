//! What a reader made of some bytes, in a form that two readers can be compared in.

/// One whole message: the last byte of its body arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// `GET /path?query` or a status; a method without a name of its own is `_OTHER`.
    pub(crate) start: String,
    /// Lower-case names with their values, in alphabetical order (hyper does not keep another).
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn new<'a>(
        start: String,
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: Vec<u8>,
    ) -> Self {
        let mut headers: Vec<_> = headers
            .map(|(name, value)| {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                (name, value.to_vec())
            })
            .collect();
        headers.sort();
        Self {
            start,
            headers,
            body,
        }
    }
}

/// Why our reader stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Every byte belongs to a message, or follows one that closes the connection.
    Done,
    /// It waits for bytes that never come.
    Cut,
    /// It refuses the next message, with this code.
    Refused(&'static str),
}

#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
}

impl Reading {
    /// The code of a refusal that `theirs` does not share; an error when they accept less than
    /// ours, or see other messages in the same bytes.
    pub(crate) fn compare(&self, theirs: &[Message]) -> Result<Option<&'static str>, String> {
        for (index, message) in self.messages.iter().enumerate() {
            let other = theirs.get(index);
            if other != Some(message) {
                return Err(format!(
                    "message {index}: ours {message:?}, theirs {other:?}"
                ));
            }
        }
        match (theirs.get(self.messages.len()), self.end) {
            (None, _) => Ok(None),
            (Some(_), End::Refused(code)) => Ok(Some(code)),
            (Some(more), end) => Err(format!("ours ends ({end:?}), theirs goes on with {more:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(start: &str, body: &str) -> Message {
        Message::new(start.into(), std::iter::empty(), body.into())
    }

    /// A comparison that nothing fails would let every row pass.
    #[test]
    fn what_differs_is_seen() {
        let ours = Reading {
            messages: vec![message("GET /", "a")],
            end: End::Done,
        };
        assert_eq!(ours.compare(&[message("GET /", "a")]), Ok(None));
        assert!(ours.compare(&[]).is_err());
        assert!(ours.compare(&[message("GET /", "b")]).is_err());
        assert!(ours.compare(&[message("GET /x", "a")]).is_err());
        let two = [message("GET /", "a"), message("GET /canary", "")];
        assert!(ours.compare(&two).is_err());
        let refusing = Reading {
            end: End::Refused("bare_lf"),
            ..ours
        };
        assert_eq!(refusing.compare(&two), Ok(Some("bare_lf")));
        assert_eq!(refusing.compare(&two[..1]), Ok(None));
    }
}
