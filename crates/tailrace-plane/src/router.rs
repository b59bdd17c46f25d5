//! From a request's path to its view.
//!
//! Static segments win over parameters, a trailing slash is a different path, and a path whose only
//! fault is an empty parameter is reported as such (a missing id is 400, req 10.3), not as an
//! unknown route. Routes that could both match are refused when the plane starts.

use matchit::Params;

#[derive(Debug)]
pub struct Router {
    routes: matchit::Router<usize>,
}

/// What a path led to.
#[derive(Debug)]
pub enum Route<'router, 'path> {
    View(usize, Params<'router, 'path>),
    /// A route would match if this parameter were not empty.
    EmptyParameter(String),
    Unknown,
}

/// Stands in for an empty segment when looking for the route that was meant; not a legal path byte.
const STAND_IN: &str = "\u{1}";

impl Router {
    pub fn new<'a>(paths: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut routes = matchit::Router::new();
        for (index, path) in paths.enumerate() {
            routes
                .insert(path, index)
                .map_err(|error| format!("route {path}: {error}"))?;
        }
        Ok(Self { routes })
    }

    pub fn find<'r, 'p>(&'r self, path: &'p str) -> Route<'r, 'p> {
        match self.routes.at(path) {
            Ok(found) => Route::View(*found.value, found.params),
            Err(_) => self.find_empty(path),
        }
    }

    /// Off the fast path: only a path that matched nothing comes here.
    fn find_empty(&self, path: &str) -> Route<'static, 'static> {
        if !path.contains("//") && !path.ends_with('/') {
            return Route::Unknown;
        }
        let filled: Vec<&str> = path
            .split('/')
            .enumerate()
            .map(|(index, segment)| {
                if index > 0 && segment.is_empty() {
                    STAND_IN
                } else {
                    segment
                }
            })
            .collect();
        let filled = filled.join("/");
        self.routes.at(&filled).map_or(Route::Unknown, |found| {
            let empty = found.params.iter().find(|(_, value)| *value == STAND_IN);
            empty.map_or(Route::Unknown, |(name, _)| {
                Route::EmptyParameter(name.to_owned())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Route, Router};

    fn router(paths: &[&str]) -> Router {
        Router::new(paths.iter().copied()).unwrap()
    }

    #[test]
    fn a_static_segment_wins_over_a_parameter() {
        let router = router(&["/orders/{id}", "/orders/latest"]);
        assert!(matches!(router.find("/orders/latest"), Route::View(1, _)));
        assert!(matches!(router.find("/orders/7"), Route::View(0, _)));
    }

    // req 10.3
    #[test]
    fn a_missing_id_is_named_instead_of_not_found() {
        let router = router(&["/api/orders/{order_id}", "/a/{x}/b"]);
        assert!(
            matches!(router.find("/api/orders/"), Route::EmptyParameter(name) if name == "order_id")
        );
        assert!(matches!(router.find("/a//b"), Route::EmptyParameter(name) if name == "x"));
        assert!(matches!(router.find("/api/orders/7/"), Route::Unknown));
        assert!(matches!(router.find("/nothing/"), Route::Unknown));
    }

    #[test]
    fn conflicting_routes_are_refused() {
        assert!(Router::new(["/a/{x}", "/a/{y}"].into_iter()).is_err());
    }
}
