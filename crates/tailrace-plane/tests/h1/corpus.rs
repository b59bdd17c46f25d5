//! Reads the corpora: text rows with escapes, so that a row can be read and diffed.

const GET: &str = r"GET / HTTP/1.1\r\nHost: a\r\n";
const POST: &str = r"POST / HTTP/1.1\r\nHost: a\r\n";
const CANARY: &str = r"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = r"HTTP/1.1 200 OK\r\n";
const FOREIGN: &str = r"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign";

/// The rows of a corpus, cut into `columns` at ` | `.
pub(crate) fn rows(text: &'static str, columns: usize) -> Vec<Vec<&'static str>> {
    let rows: Vec<Vec<_>> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.splitn(columns, " | ").collect())
        .collect();
    for row in &rows {
        assert_eq!(row.len(), columns, "a row with too few columns: {row:?}");
    }
    rows
}

/// Undoes the escapes of a row.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '\\' => escape(rest, &mut out),
            '{' => braces(rest, &mut out),
            _ => {
                out.push(u8::try_from(first).expect("rows are ASCII"));
                &rest[1..]
            }
        };
    }
    out
}

fn escape<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let (byte, len) = match text.as_bytes()[1] {
        b'r' => (b'\r', 2),
        b'n' => (b'\n', 2),
        b't' => (b'\t', 2),
        b'\\' => (b'\\', 2),
        b'x' => (
            u8::from_str_radix(&text[2..4], 16).expect("two hex digits"),
            4,
        ),
        other => panic!("unknown escape {:?} in {text}", other as char),
    };
    out.push(byte);
    &text[len..]
}

fn braces<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let mut depth = 0;
    let end = text
        .find(|ch| {
            depth += i32::from(ch == '{') - i32::from(ch == '}');
            depth == 0
        })
        .expect("a closing brace");
    let inside = &text[1..end];
    let (word, times) = match inside {
        "G" => (GET, 1),
        "P" => (POST, 1),
        "CANARY" => (CANARY, 1),
        "O" => (OK, 1),
        "FOREIGN" => (FOREIGN, 1),
        _ => {
            let (word, times) = inside.rsplit_once('*').expect("text * times");
            (word, times.parse().expect("a number of times"))
        }
    };
    out.extend(bytes(word).repeat(times));
    &text[end + 1..]
}
