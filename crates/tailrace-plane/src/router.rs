//! From a request's path to the views at it, and from its method to the one of them.
//!
//! Static segments win over parameters, a trailing slash is a different path, and a path whose only
//! fault is an empty parameter is reported as such (a missing id is 400, req 10.3), not as an
//! unknown route. HEAD follows GET. Routes that could both match are refused when the plane starts.

use crate::h1::Method;
use matchit::Params;
use std::collections::HashMap;
use tailrace_blueprint::Method as Declared;

#[derive(Debug)]
pub struct Router {
    routes: matchit::Router<usize>,
    paths: Vec<Methods>,
    /// What `Allow` says of the service as a whole.
    pub allow: String,
}

/// The views at one path.
#[derive(Debug, Default)]
pub struct Methods {
    views: [Option<usize>; METHODS.len()],
    /// What `Allow` says of this path.
    pub allow: String,
}

/// In the order of `Allow`.
const METHODS: [(Declared, Method, &str); 5] = [
    (Declared::Get, Method::Get, "GET, HEAD"),
    (Declared::Post, Method::Post, "POST"),
    (Declared::Put, Method::Put, "PUT"),
    (Declared::Patch, Method::Patch, "PATCH"),
    (Declared::Delete, Method::Delete, "DELETE"),
];

/// What a path led to.
#[derive(Debug)]
pub enum Route<'router, 'path> {
    Path(&'router Methods, Params<'router, 'path>),
    /// A route would match if this parameter were not empty.
    EmptyParameter(String),
    Unknown,
}

/// Stands in for an empty segment when looking for the route that was meant; not a legal path byte.
const STAND_IN: &str = "\u{1}";

impl Router {
    pub fn new<'a>(views: impl Iterator<Item = (&'a str, Declared)>) -> Result<Self, String> {
        let mut routes = matchit::Router::new();
        let mut paths: Vec<Methods> = Vec::new();
        let mut known = HashMap::new();
        for (view, (path, method)) in views.enumerate() {
            let index = match known.get(path) {
                Some(index) => *index,
                None => {
                    routes
                        .insert(path, paths.len())
                        .map_err(|error| format!("route {path}: {error}"))?;
                    paths.push(Methods::default());
                    *known.entry(path).or_insert(paths.len() - 1)
                }
            };
            paths[index].add(method, view);
        }
        let mut all = Methods::default();
        for methods in &mut paths {
            methods.allow = methods.names();
            for (slot, view) in all.views.iter_mut().zip(methods.views) {
                *slot = slot.or(view);
            }
        }
        Ok(Self {
            routes,
            paths,
            allow: all.names(),
        })
    }

    pub fn find<'r, 'p>(&'r self, path: &'p str) -> Route<'r, 'p> {
        match self.routes.at(path) {
            Ok(found) => Route::Path(&self.paths[*found.value], found.params),
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

impl Methods {
    fn add(&mut self, method: Declared, view: usize) {
        let place = METHODS.iter().position(|known| known.0 == method);
        if let Some(slot) = place.and_then(|place| self.views.get_mut(place)) {
            slot.get_or_insert(view);
        }
    }

    fn names(&self) -> String {
        let here = METHODS.iter().zip(self.views);
        let mut names: Vec<&str> = here
            .filter_map(|((_, _, name), view)| view.map(|_| *name))
            .collect();
        names.push("OPTIONS");
        names.join(", ")
    }

    /// The view that answers `method`.
    pub fn view(&self, method: Method) -> Option<usize> {
        let asked = if method == Method::Head {
            Method::Get
        } else {
            method
        };
        let place = METHODS.iter().position(|known| known.1 == asked)?;
        self.views[place]
    }
}

#[cfg(test)]
mod tests {
    use super::{Declared, Route, Router};
    use crate::h1::Method;

    fn router(paths: &[&str]) -> Router {
        Router::new(paths.iter().map(|path| (*path, Declared::Get))).unwrap()
    }

    fn view(router: &Router, method: Method, path: &str) -> Option<usize> {
        match router.find(path) {
            Route::Path(methods, _) => methods.view(method),
            _ => None,
        }
    }

    #[test]
    fn a_static_segment_wins_over_a_parameter() {
        let router = router(&["/orders/{id}", "/orders/latest"]);
        assert_eq!(view(&router, Method::Get, "/orders/latest"), Some(1));
        assert_eq!(view(&router, Method::Get, "/orders/7"), Some(0));
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
    fn methods_of_one_path_are_told_apart_and_head_follows_get() {
        let views = [
            ("/orders", Declared::Post),
            ("/orders", Declared::Get),
            ("/carts", Declared::Delete),
        ];
        let router = Router::new(views.into_iter()).unwrap();
        assert_eq!(view(&router, Method::Post, "/orders"), Some(0));
        assert_eq!(view(&router, Method::Head, "/orders"), Some(1));
        assert_eq!(view(&router, Method::Put, "/orders"), None);
        let Route::Path(orders, _) = router.find("/orders") else {
            panic!("no route");
        };
        assert_eq!(orders.allow, "GET, HEAD, POST, OPTIONS");
        let Route::Path(carts, _) = router.find("/carts") else {
            panic!("no route");
        };
        assert_eq!(carts.allow, "DELETE, OPTIONS");
    }

    #[test]
    fn conflicting_routes_are_refused() {
        let views = [("/a/{x}", Declared::Get), ("/a/{y}", Declared::Post)];
        assert!(Router::new(views.into_iter()).is_err());
    }
}
