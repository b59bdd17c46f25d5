//! From one sample to the addresses of its calls, by the unwind tables of the files that run.
//!
//! The tables (`.eh_frame`) are in every build, stripped or not, for panics need them. Memory is
//! read only from the copy of the stack, so a wrong table gives a short stack and nothing worse.
//!
//! *Bounds.* [`FRAMES_MAX`] frames; each must lie above the one before it.

use super::modules::{Module, Modules};
use super::signal::{Sample, REGISTERS};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, LittleEndian, Register, RegisterRule,
    UnwindContext, UnwindSection,
};

/// Frames of one stack.
pub const FRAMES_MAX: usize = 96;

#[cfg(target_arch = "aarch64")]
const STACK: usize = 31;
#[cfg(target_arch = "aarch64")]
const RETURN: usize = 30;
#[cfg(not(target_arch = "aarch64"))]
const STACK: usize = 7;
#[cfg(not(target_arch = "aarch64"))]
const RETURN: usize = 16;

pub struct Unwinder<'a> {
    modules: &'a Modules,
    context: UnwindContext<usize>,
}

/// One frame's registers.
type Registers = [u64; REGISTERS];

/// Why a stack ends.
enum End {
    /// It does: the thread began here.
    Bottom,
    /// What comes next was not copied, or cannot be known.
    Cut,
}

impl<'a> Unwinder<'a> {
    pub fn new(modules: &'a Modules) -> Self {
        Self {
            modules,
            context: UnwindContext::new(),
        }
    }

    /// Addresses, the innermost first, and whether more frames are missing.
    pub fn addresses(&mut self, sample: &Sample) -> (Vec<u64>, bool) {
        let mut found = vec![sample.pc];
        let mut registers = sample.registers;
        let mut pc = sample.pc;
        for frame in 0..FRAMES_MAX {
            match self.caller(sample, pc, frame == 0, &mut registers) {
                Ok(caller) => {
                    // A call's return address is behind it: look where the call is.
                    pc = caller.wrapping_sub(1);
                    found.push(pc);
                }
                Err(End::Bottom) => return (found, false),
                Err(End::Cut) => return (found, true),
            }
        }
        (found, true)
    }

    /// Puts the caller's registers into `registers`; returns where it goes on.
    fn caller(
        &mut self,
        sample: &Sample,
        pc: u64,
        innermost: bool,
        registers: &mut Registers,
    ) -> Result<u64, End> {
        let module = self.modules.of(pc).ok_or(End::Cut)?;
        let row = rule(module, pc, &mut self.context).ok_or(End::Cut)?;
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let base = registers.get(usize::from(register.0)).ok_or(End::Cut)?;
                base.wrapping_add(*offset as u64)
            }
            CfaRule::Expression(_) => return Err(End::Cut),
        };
        // A leaf's frame may be empty; after it each lies above the one before.
        let before = registers[STACK];
        if cfa < before || (cfa == before && !innermost) {
            return Err(End::Cut);
        }
        let old = *registers;
        let mut bottom = false;
        for (number, register) in registers.iter_mut().enumerate() {
            match row.register(Register(number as u16)) {
                Some(RegisterRule::Offset(offset)) => {
                    let at = cfa.wrapping_add(offset as u64);
                    *register = read(sample, at).ok_or(End::Cut)?;
                }
                Some(RegisterRule::ValOffset(offset)) => {
                    *register = cfa.wrapping_add(offset as u64);
                }
                Some(RegisterRule::Register(other)) => {
                    let other = old.get(usize::from(other.0)).ok_or(End::Cut)?;
                    *register = *other;
                }
                None | Some(RegisterRule::Undefined) if number == RETURN => {
                    // Where calls leave it in a register, it is there as long as nothing else is
                    // called.
                    bottom = !(cfg!(target_arch = "aarch64") && innermost);
                }
                _ => {}
            }
        }
        registers[STACK] = cfa;
        let caller = registers[RETURN];
        if bottom || caller == 0 {
            return Err(End::Bottom);
        }
        Ok(caller)
    }
}

type Row<'c> = &'c gimli::UnwindTableRow<usize>;

/// What the tables say of the frame that `pc` is in.
fn rule<'c>(module: &Module, pc: u64, context: &'c mut UnwindContext<usize>) -> Option<Row<'c>> {
    let elf = module.elf.as_ref()?;
    let (header, header_at) = elf.data(".eh_frame_hdr")?;
    let (frames, frames_at) = elf.data(".eh_frame")?;
    let text = elf.section(".text").map_or(0, |section| section.address);
    let bases = BaseAddresses::default()
        .set_eh_frame_hdr(header_at)
        .set_eh_frame(frames_at)
        .set_text(text);
    let header = EhFrameHdr::new(header, LittleEndian)
        .parse(&bases, 8)
        .ok()?;
    let frames = EhFrame::new(frames, LittleEndian);
    let own = pc.wrapping_sub(module.bias);
    let table = header.table()?;
    let get = EhFrame::cie_from_offset;
    table
        .unwind_info_for_address(&frames, &bases, context, own, get)
        .ok()
}

/// Eight bytes of the copied stack.
fn read(sample: &Sample, address: u64) -> Option<u64> {
    let from = address.checked_sub(sample.registers[STACK])?;
    let from = usize::try_from(from).ok()?;
    let bytes = sample.stack[..sample.len].get(from..from.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
