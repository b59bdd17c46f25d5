//! What unwinding and naming need of a file of machine code (ELF, 64 bit, little endian).
//!
//! The file is one that this process runs; all the same nothing in it is trusted: every offset is
//! checked, and what does not fit is left out.

use std::collections::HashMap;
use std::ops::Range;

/// A stretch of the file whose bytes may run: where in the file, and at which address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub file: Range<u64>,
    pub address: u64,
}

/// A section: where in the file, and at which address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    pub file: Range<usize>,
    pub address: u64,
}

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol {
    address: u64,
    size: u64,
    /// Where its name is, in the table's strings.
    name: u32,
}

#[derive(Debug)]
pub struct Elf {
    pub bytes: Vec<u8>,
    pub segments: Vec<Segment>,
    sections: HashMap<Vec<u8>, Section>,
    symbols: Vec<Symbol>,
    strings: Range<usize>,
    /// It has names for what it does not export, too.
    pub whole: bool,
}

const LOADED: u32 = 1;
const RUNS: u32 = 1;
const FUNCTION: u8 = 2;
const SYMBOL_BYTES: usize = 24;
/// More functions than any library has that can be loaded.
const SYMBOLS_MAX: usize = 4_000_000;

impl Elf {
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let mut elf = Self {
            segments: segments(&bytes)?,
            sections: sections(&bytes).unwrap_or_default(),
            symbols: Vec::new(),
            strings: 0..0,
            whole: false,
            bytes,
        };
        elf.read_symbols();
        Some(elf)
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name.as_bytes())
    }

    pub fn data(&self, name: &str) -> Option<(&[u8], u64)> {
        let section = self.section(name)?;
        Some((self.bytes.get(section.file.clone())?, section.address))
    }

    /// The name of the function at `address`, as the file has it.
    pub fn symbol(&self, address: u64) -> Option<&str> {
        let after = self.symbols.partition_point(|one| one.address <= address);
        let found = self.symbols.get(after.checked_sub(1)?)?;
        // Hand-written code has no size: then it is as long as the next is away.
        let inside = found.size == 0 || address - found.address < found.size;
        let strings = self.bytes.get(self.strings.clone())?;
        let name = strings.get(found.name as usize..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&name[..end]).ok()?;
        (inside && !name.is_empty()).then_some(name)
    }

    /// All functions, or those that are exported where that is all there is.
    fn read_symbols(&mut self) {
        for (name, strings, whole) in [(".symtab", ".strtab", true), (".dynsym", ".dynstr", false)]
        {
            let (Some(table), Some(strings)) = (self.section(name), self.section(strings)) else {
                continue;
            };
            let strings = strings.file.clone();
            let Some(rows) = self.bytes.get(table.file.clone()) else {
                continue;
            };
            let rows = rows.chunks_exact(SYMBOL_BYTES).take(SYMBOLS_MAX);
            let mut symbols: Vec<Symbol> = rows.filter_map(symbol).collect();
            if symbols.is_empty() {
                continue;
            }
            symbols.sort_unstable();
            symbols.dedup_by_key(|one| one.address);
            (self.symbols, self.strings, self.whole) = (symbols, strings, whole);
            return;
        }
    }
}

fn symbol(row: &[u8]) -> Option<Symbol> {
    let found = Symbol {
        name: u32_at(row, 0)?,
        address: u64_at(row, 8)?,
        size: u64_at(row, 16)?,
    };
    (row[4] & 15 == FUNCTION && found.address > 0).then_some(found)
}

fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let (table, each, count) = (u64_at(bytes, 32)?, u16_at(bytes, 54)?, u16_at(bytes, 56)?);
    let mut found = Vec::new();
    for index in 0..usize::from(count) {
        let at = usize::try_from(table).ok()? + index * usize::from(each);
        // One that does not run may lie in the same page of the file.
        if u32_at(bytes, at)? != LOADED || u32_at(bytes, at + 4)? & RUNS == 0 {
            continue;
        }
        let (file, address) = (u64_at(bytes, at + 8)?, u64_at(bytes, at + 16)?);
        let size = u64_at(bytes, at + 32)?;
        found.push(Segment {
            file: file..file.checked_add(size)?,
            address,
        });
    }
    Some(found)
}

fn sections(bytes: &[u8]) -> Option<HashMap<Vec<u8>, Section>> {
    let (table, each) = (u64_at(bytes, 40)?, u16_at(bytes, 58)?);
    let (count, names) = (u16_at(bytes, 60)?, u16_at(bytes, 62)?);
    let row = |index: u16| {
        let at = usize::try_from(table).ok()? + usize::from(index) * usize::from(each);
        let from = usize::try_from(u64_at(bytes, at + 24)?).ok()?;
        let size = usize::try_from(u64_at(bytes, at + 32)?).ok()?;
        let section = Section {
            file: from..from.checked_add(size)?,
            address: u64_at(bytes, at + 16)?,
        };
        Some((u32_at(bytes, at)?, section))
    };
    let (_, strings) = row(names)?;
    let strings = bytes.get(strings.file)?;
    let rows = (0..count).filter_map(row);
    let named = rows.filter_map(|(name, section)| {
        let name = strings.get(name as usize..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        Some((name[..end].to_vec(), section))
    });
    Some(named.collect())
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let found = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(found.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(found.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let found = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(found.try_into().ok()?))
}
