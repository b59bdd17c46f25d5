//! Seeded damage to rows of a corpus: the same seed gives the same bytes, everywhere.

use fastrand::Rng;

const SEED: u64 = 0x7a11_7ace;
const ODD_BYTES: &[u8] = b"\r\n\0\t \x0b\x0c\x7f\x80\xff:;,\"\\/?#%+-_.0159afFxAZ()*[]";
const PIECES: [&str; 24] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    ";a=\"b\"",
    ", chunked",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: Upgrade\r\n",
    "Upgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "Trailer: X\r\n",
    "X: y\r\n",
    "Host: b\r\n",
    "HTTP/1.0",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// From `TAILRACE_SEED` when that is set, and printed, so that any run can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("TAILRACE_SEED").ok().map_or(SEED, |text| {
        text.parse().expect("TAILRACE_SEED is a number")
    });
    println!("seed: TAILRACE_SEED={seed}");
    seed
}

/// One to three wounds to a row, or to the front of one row and the back of another; good and bad
/// rows equally often, because most of a hostile corpus stays refused whatever else happens to it.
pub(crate) fn mutate(rng: &mut Rng, good: &[&[u8]], bad: &[&[u8]]) -> Vec<u8> {
    let mut bytes = pick(rng, good, bad).to_vec();
    match rng.u8(..8) {
        0 => {
            let other = pick(rng, good, bad);
            bytes.truncate(rng.usize(..=bytes.len()));
            bytes.extend_from_slice(&other[rng.usize(..=other.len())..]);
        }
        1 => bytes.extend_from_slice(pick(rng, good, bad)),
        _ => {}
    }
    for _ in 0..rng.u8(1..=3) {
        wound(rng, &mut bytes);
    }
    bytes
}

fn pick<'a>(rng: &mut Rng, good: &[&'a [u8]], bad: &[&'a [u8]]) -> &'a [u8] {
    let rows = if rng.bool() { good } else { bad };
    rows[rng.usize(..rows.len())]
}

fn wound(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.usize(..=bytes.len());
    // Short enough to stay within one line, most of the time.
    let to = (at + rng.usize(..12)).min(bytes.len());
    match rng.u8(..7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
        1 if at < bytes.len() => bytes[at] = ODD_BYTES[rng.usize(..ODD_BYTES.len())],
        2 => {
            bytes.drain(at..to);
        }
        3 => {
            let again = bytes[at..to].to_vec();
            bytes.splice(at..at, again);
        }
        4 => duplicate_line(rng, bytes),
        5 => {
            // Where a line starts a piece is a header; anywhere else it is damage.
            let starts: Vec<_> = line_starts(bytes).collect();
            let start = starts[rng.usize(..starts.len())];
            let piece = PIECES[rng.usize(..PIECES.len())].bytes();
            bytes.splice(start..start, piece);
        }
        _ => {
            let byte = ODD_BYTES[rng.usize(..ODD_BYTES.len())];
            bytes.insert(at, byte);
        }
    }
}

fn line_starts(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let feeds = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    std::iter::once(0).chain(feeds.map(|(at, _)| at + 1))
}

fn duplicate_line(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let starts: Vec<_> = line_starts(bytes).collect();
    let index = rng.usize(..starts.len());
    let start = starts[index];
    let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
    let line = bytes[start..end].to_vec();
    bytes.splice(start..start, line);
}

#[test]
fn a_seed_is_a_run() {
    let good: [&[u8]; 1] = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"];
    let bad: [&[u8]; 1] = [b"a\r\nb"];
    let run = |seed| {
        let mut rng = Rng::with_seed(seed);
        (0..100)
            .map(|_| mutate(&mut rng, &good, &bad))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
