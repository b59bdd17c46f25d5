//! Stacks as text for other tools, and as a picture.
//!
//! *Collapsed*: one line per stack, frames joined by `;`, then its weight, as flamegraph.pl and
//! speedscope read it. *SVG*: one file that asks for nothing, with no script and no style sheet, so
//! any policy allows it; a frame's name and share are in its tooltip. Text is escaped: names of
//! code may hold `<`.

use super::Stack;
use std::collections::BTreeMap;
use std::fmt::Write;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;
const HEAD: f64 = 44.0;
/// Narrower frames are not drawn: nobody could see them.
const NARROWEST: f64 = 0.3;
/// Pixels that a letter takes.
const LETTER: f64 = 6.6;

/// One line per stack.
pub fn collapsed(stacks: &[Stack]) -> String {
    let mut out = String::new();
    for stack in stacks {
        for (index, frame) in stack.frames.iter().enumerate() {
            if index > 0 {
                out.push(';');
            }
            // The two characters that the format keeps for itself.
            let clean = |letter| match letter {
                ';' => ':',
                '\n' | '\r' => ' ',
                other => other,
            };
            out.extend(frame.chars().map(clean));
        }
        // Writing to a string does not fail.
        writeln!(out, " {}", stack.us).ok();
    }
    out
}

/// Frames that stand on one another.
#[derive(Debug, Default)]
struct Node<'a> {
    us: u64,
    above: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn of(stacks: &'a [Stack]) -> Self {
        let mut root = Self::default();
        for stack in stacks {
            root.us += stack.us;
            let mut node = &mut root;
            for frame in &stack.frames {
                node = node.above.entry(frame).or_default();
                node.us += stack.us;
            }
        }
        root
    }

    fn depth(&self) -> usize {
        let above = self.above.values().map(|node| 1 + node.depth());
        above.max().unwrap_or(0)
    }
}

/// A flame graph: the root on top, wider is more processor time.
pub fn svg(title: &str, stacks: &[Stack]) -> String {
    let root = Node::of(stacks);
    let height = HEAD + ROW * (root.depth() + 1) as f64;
    let mut out = String::new();
    let title = escaped(title);
    // Writing to a string does not fail.
    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"18\" font-size=\"14\">{title}</text>\n\
         <text x=\"8\" y=\"34\">{} ms of processor time; wider is more; tooltips have the \
         whole name</text>\n",
        root.us / 1_000,
    )
    .ok();
    draw(&root, 0.0, 0, root.us.max(1), &mut out);
    out.push_str("</svg>\n");
    out
}

fn draw(node: &Node<'_>, left: f64, level: usize, all: u64, out: &mut String) {
    let mut left = left;
    for (name, above) in &node.above {
        let share = above.us as f64 / all as f64;
        let width = share * WIDTH;
        if width < NARROWEST {
            left += width;
            continue;
        }
        let top = HEAD + ROW * level as f64;
        let shown = escaped(&fitting(name, width));
        // Writing to a string does not fail.
        write!(
            out,
            "<g><title>{} ({:.1} ms, {:.1} %)</title><rect x=\"{left:.2}\" y=\"{top}\" \
             width=\"{:.2}\" height=\"{}\" rx=\"1\" fill=\"{}\"/>",
            escaped(name),
            above.us as f64 / 1e3,
            share * 100.0,
            (width - 0.5).max(0.2),
            ROW - 1.0,
            colour(name),
        )
        .ok();
        if !shown.is_empty() {
            let (x, y) = (left + 3.0, top + 12.0);
            write!(out, "<text x=\"{x:.2}\" y=\"{y}\">{shown}</text>").ok();
        }
        out.push_str("</g>\n");
        draw(above, left, level + 1, all, out);
        left += width;
    }
}

/// As much of a name as there is room for.
fn fitting(name: &str, width: f64) -> String {
    let room = (width / LETTER) as usize;
    let letters = name.chars().count();
    match room {
        0..3 => String::new(),
        _ if letters <= room => name.to_owned(),
        _ => name.chars().take(room - 2).chain("..".chars()).collect(),
    }
}

/// The same name has the same colour in every picture.
fn colour(name: &str) -> String {
    let hash = name.bytes().fold(2_166_136_261_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
    });
    let (red, green, blue) = (205 + hash % 50, 110 + (hash >> 8) % 110, (hash >> 16) % 60);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other if other.is_control() => out.push('?'),
            other => out.push(other),
        }
    }
    out
}
