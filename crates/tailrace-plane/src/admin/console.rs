//! The console: a page of the admin port that shows this service live, and its files.
//!
//! The failure prevented: an operations page that needs a build step, a network or trust. The files
//! are compiled in and total at most 150 KB; the page asks nothing but this port, works offline,
//! and its policy allows neither script nor style in markup, nor markup made from text. So a name
//! that is HTML stays a name (RELIABILITY S30).

use super::Answer;

/// For every answer but `/docs`: what is shown loads from here only, runs no script that stands in
/// markup, makes no markup from text and is put in no frame.
pub(super) const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($name:literal $kind:expr;)*) => {
        [$((
            concat!("/console/", $name),
            $kind,
            include_bytes!(concat!("../console/", $name)).as_slice(),
        )),*]
    };
}

type File = (&'static str, &'static str, &'static [u8]);

const PAGE: &[u8] = include_bytes!("../console/index.html");
const FILES: [File; 11] = files! {
    "style.css" "text/css; charset=utf-8";
    "icon.svg" "image/svg+xml";
    "app.js" SCRIPT;
    "dom.js" SCRIPT;
    "figures.js" SCRIPT;
    "lab.js" SCRIPT;
    "limits.js" SCRIPT;
    "requests.js" SCRIPT;
    "tables.js" SCRIPT;
    "chart.js" SCRIPT;
    "topology.js" SCRIPT;
};

/// Whether `/` is asked for by somebody who looks at it: browsers name HTML, programs do not.
pub(super) fn is_wanted(accept: Option<&[u8]>) -> bool {
    accept.is_some_and(|accept| accept.windows(9).any(|window| window == b"text/html"))
}

pub(super) fn page() -> Answer {
    answer(HTML, PAGE)
}

pub(super) fn file(path: &[u8]) -> Option<Answer> {
    if path == b"/console" {
        return Some(page());
    }
    let found = FILES.iter().find(|(name, ..)| name.as_bytes() == path);
    found.map(|(_, kind, body)| answer(kind, body))
}

fn answer(content_type: &'static str, body: &[u8]) -> Answer {
    Answer {
        status: 200,
        content_type,
        body: body.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{file, is_wanted, FILES, PAGE};

    const BYTES_MAX: usize = 150 * 1024;

    #[test]
    fn the_whole_page_is_small_and_asks_for_nothing_else() {
        let size = PAGE.len() + FILES.iter().map(|(.., body)| body.len()).sum::<usize>();
        println!("console: {size} bytes in {} files", FILES.len() + 1);
        assert!(size <= BYTES_MAX, "{size} bytes, at most {BYTES_MAX}");
        let page = std::str::from_utf8(PAGE).unwrap();
        for (name, ..) in FILES {
            assert!(file(name.as_bytes()).is_some());
        }
        for inline in [
            "<style",
            "style=",
            "onclick",
            "javascript:",
            "http:",
            "https:",
        ] {
            assert!(!page.contains(inline), "{inline} in the page");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script type=\"module\" src=\"/console/")
                .count()
        );
    }

    // RELIABILITY S30: text never becomes markup; the browser is told to enforce it too.
    #[test]
    fn no_script_makes_markup_from_text() {
        for (name, _, body) in FILES {
            let text = std::str::from_utf8(body).unwrap();
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
            ] {
                assert!(!text.contains(sink), "{sink} in {name}");
            }
        }
    }

    #[test]
    fn browsers_get_the_page_and_programs_the_list() {
        assert!(is_wanted(Some(
            b"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
        )));
        for other in ["*/*", "application/json", "text/plain", ""] {
            assert!(!is_wanted(Some(other.as_bytes())), "{other}");
        }
        assert!(!is_wanted(None));
        assert!(file(b"/console/../admin.rs").is_none());
    }
}
