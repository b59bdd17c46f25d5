//! What a scripted upstream saw: a request exactly as it arrived.

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    pub(crate) head: Vec<u8>,
    /// The body, when the head said its length.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    pub(crate) fn target(&self) -> String {
        let text = self.text();
        text.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Header lines as name and value.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let text = self.text();
        let lines = text
            .split("\r\n")
            .skip(1)
            .take_while(|line| !line.is_empty());
        lines
            .map(|line| {
                let (name, value) = line.split_once(": ").expect("a header line");
                (name.to_owned(), value.to_owned())
            })
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers()
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}
