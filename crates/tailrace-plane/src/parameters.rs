//! Parameters of a request: found, decoded once, checked against their declared shape.
//!
//! The failure prevented is a value that means one thing here and another behind us: a path
//! parameter is percent-decoded exactly once and encoded again where it is used (RELIABILITY S07),
//! and what does not fit its declaration is 400 with the parameter's name (req 10.3).

use crate::h1::{self, RequestHead};
use crate::program::{Parameter, Program};
use crate::reply::Problem;
use tailrace_blueprint::ParameterIn;

/// Where raw values are.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    pub head: &'a RequestHead,
    pub input: &'a [u8],
    pub path: &'a matchit::Params<'a, 'a>,
    /// A form, when some parameter is read from one.
    pub body: &'a [u8],
}

/// All declared parameters, in order; `None` for an optional one that is absent.
pub fn read(
    program: &Program,
    declared: &[Parameter],
    raw: Raw<'_>,
) -> Result<Vec<Option<Vec<u8>>>, Problem> {
    let one = |parameter: &Parameter| {
        let value = match parameter.location {
            ParameterIn::Path => raw.path.get(&parameter.wire_name).map(str::as_bytes),
            ParameterIn::Query => {
                let query = raw.head.query.map_or(&[][..], |query| query.of(raw.input));
                pair_value(query, parameter.wire_name.as_bytes())
            }
            ParameterIn::Form => pair_value(raw.body, parameter.wire_name.as_bytes()),
            ParameterIn::Header => raw.head.header(raw.input, &parameter.wire_name),
        };
        parameter_text(program, parameter, value)
    };
    declared.iter().map(one).collect()
}

fn pair_value<'a>(pairs: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    h1::query_pairs(pairs)
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Decodes and checks one parameter; `None` when it is absent and may be.
fn parameter_text(
    program: &Program,
    parameter: &Parameter,
    raw: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, Problem> {
    let Some(raw) = raw else {
        if parameter.required {
            let place = match parameter.location {
                ParameterIn::Path => "path",
                ParameterIn::Query => "query",
                ParameterIn::Header => "headers",
                ParameterIn::Form => "form",
            };
            return Err(missing_parameter(parameter.name.clone(), place));
        }
        return Ok(parameter.default.clone().map(String::into_bytes));
    };
    let mut text = Vec::with_capacity(raw.len());
    let name = &parameter.name;
    let decoded = match parameter.location {
        ParameterIn::Path => h1::decode_segment(raw, &mut text).is_ok(),
        ParameterIn::Query | ParameterIn::Form => h1::decode_query_value(raw, &mut text).is_ok(),
        ParameterIn::Header => {
            text.extend_from_slice(raw);
            std::str::from_utf8(raw).is_ok()
        }
    };
    if !decoded {
        return Err(bad_parameter(
            name,
            format!("parameter {name} is not well encoded"),
        ));
    }
    program
        .shapes
        .accept_scalar(parameter.shape, &text)
        .map_err(|mismatch| bad_parameter(name, format!("parameter {name}: {mismatch}")))?;
    Ok(Some(text))
}

pub fn bad_parameter(name: &str, detail: String) -> Problem {
    let parameter = Some(name.to_owned());
    Problem {
        status: 400,
        code: "bad_parameter",
        detail,
        parameter,
        ..Problem::default()
    }
}

pub fn missing_parameter(name: String, place: &str) -> Problem {
    let detail = format!("parameter {name} is missing in the {place}");
    Problem {
        status: 400,
        code: "missing_parameter",
        detail,
        parameter: Some(name),
        ..Problem::default()
    }
}
