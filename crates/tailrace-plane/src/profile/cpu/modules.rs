//! The files of machine code that this process runs, and the names of their addresses.
//!
//! Read once per profile from `/proc/self/maps` and the files themselves. A file that was replaced
//! since it was loaded says nothing of what runs: it is told by its inode and left unnamed.

use super::elf::Elf;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

/// More than any service loads.
const MODULES_MAX: usize = 512;
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// One mapped file.
#[derive(Debug)]
pub struct Module {
    path: String,
    /// Addresses whose bytes may run.
    range: Range<u64>,
    /// What to subtract from an address to get the file's own.
    pub bias: u64,
    pub elf: Option<Elf>,
    replaced: bool,
}

impl Module {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
pub struct Modules(Vec<Module>);

/// One line of `/proc/self/maps` whose bytes may run.
#[derive(Debug, PartialEq, Eq)]
struct Mapped<'a> {
    range: Range<u64>,
    offset: u64,
    inode: u64,
    path: &'a str,
}

fn mapped(line: &str) -> Option<Mapped<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let runs = words.next()?.contains('x');
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    // A path may hold spaces.
    let path = &line[line.find('/')?..];
    let range = u64::from_str_radix(from, 16).ok()?..u64::from_str_radix(to, 16).ok()?;
    runs.then_some(Mapped {
        range,
        offset,
        inode,
        path,
    })
}

impl Modules {
    /// What is mapped now.
    pub fn read() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let lines = maps.lines().filter_map(mapped).take(MODULES_MAX);
        let mut modules: Vec<Module> = lines.map(|one| module(&one)).collect();
        modules.sort_by_key(|one| one.range.start);
        Self(modules)
    }

    /// The one that an address is in.
    pub fn of(&self, address: u64) -> Option<&Module> {
        let after = self.0.partition_point(|one| one.range.start <= address);
        let found = self.0.get(after.checked_sub(1)?)?;
        found.range.contains(&address).then_some(found)
    }

    /// The function at an address; where there is no name, the file and the place in it.
    pub fn name(&self, address: u64) -> String {
        let Some(module) = self.of(address) else {
            return format!("[{address:#x}]");
        };
        let own = address.wrapping_sub(module.bias);
        match module.elf.as_ref().and_then(|elf| elf.symbol(own)) {
            Some(symbol) => format!("{:#}", rustc_demangle::demangle(symbol)),
            None => format!("[{}+{own:#x}]", module.name()),
        }
    }

    /// What a reader must know of the names.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "functions that the compiler put into their callers are shown as these".to_owned(),
        ];
        for one in &self.0 {
            let name = one.name();
            if one.replaced {
                notes.push(format!(
                    "{name} was replaced on disk since it was loaded: no names"
                ));
            } else if let Some(elf) = one.elf.as_ref().filter(|elf| !elf.whole) {
                if elf.section(".eh_frame").is_some() {
                    notes.push(format!(
                        "{name} is stripped: only what it exports has a name, the rest is \
                         [{name}+offset]"
                    ));
                }
            }
        }
        notes.dedup();
        notes
    }
}

fn module(mapped: &Mapped<'_>) -> Module {
    let facts = fs::metadata(mapped.path).ok();
    let same = facts
        .as_ref()
        .is_some_and(|facts| facts.ino() == mapped.inode);
    let small = facts.is_some_and(|facts| facts.len() <= FILE_BYTES_MAX);
    let bytes = if same && small {
        fs::read(mapped.path).ok()
    } else {
        None
    };
    let elf = bytes.and_then(Elf::parse);
    let bias = elf.as_ref().and_then(|elf| bias(elf, mapped));
    Module {
        path: mapped.path.to_owned(),
        range: mapped.range.clone(),
        bias: bias.unwrap_or(mapped.range.start),
        elf: elf.filter(|_| bias.is_some()),
        replaced: !same,
    }
}

fn bias(elf: &Elf, mapped: &Mapped<'_>) -> Option<u64> {
    // Mappings begin at a page, segments where they like.
    let end = mapped.offset + (mapped.range.end - mapped.range.start);
    let covers = |file: &Range<u64>| file.start < end && file.end > mapped.offset;
    let segment = elf.segments.iter().find(|one| covers(&one.file))?;
    let address = segment
        .address
        .wrapping_sub(segment.file.start)
        .wrapping_add(mapped.offset);
    Some(mapped.range.start.wrapping_sub(address))
}

#[cfg(test)]
mod tests {
    use super::{mapped, Mapped};

    #[test]
    fn a_line_of_the_maps_is_read_with_its_spaces() {
        let line = "7f10a000-7f10b000 r-xp 00001000 08:02 1234     /usr/lib/a b.so";
        let expected = Mapped {
            range: 0x7f10_a000..0x7f10_b000,
            offset: 0x1000,
            inode: 1234,
            path: "/usr/lib/a b.so",
        };
        assert_eq!(mapped(line), Some(expected));
        for other in [
            "7f10a000-7f10b000 r--p 00001000 08:02 1234     /usr/lib/a.so",
            "7f10a000-7f10b000 r-xp 00000000 00:00 0        [vdso]",
            "7f10a000 r-xp",
            "",
        ] {
            assert_eq!(mapped(other), None, "{other}");
        }
    }
}
