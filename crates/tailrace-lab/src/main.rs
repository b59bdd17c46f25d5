//! The `tailrace-lab` program: hands its arguments to the library and exits with its code.
//! The Python extension calls the same entry point, so nothing is decided here.

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    std::process::exit(tailrace_lab::run(&args));
}
