use super::elf::Elf;
use super::flame::{collapsed, svg};
use super::modules::Modules;
use super::signal::{Sample, REGISTERS};
use super::unwind::{Unwinder, FRAMES_MAX};
use super::{record, Folded, Stack, HZ, STACKS_MAX};
use crate::profile::threads::Threads;
use proptest::prelude::*;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A process is profiled by one at a time, and tests run side by side.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn stack(frames: &[&str], us: u64) -> Stack {
    Stack {
        frames: frames.iter().map(|one| (*one).to_owned()).collect(),
        us,
    }
}

/// Work that a profile must find by this name, kept out of its callers.
#[inline(never)]
fn busy_in_a_named_place(spins: &AtomicU64) {
    let mut sum = 0_u64;
    for round in 0..200_000_u64 {
        sum = black_box(sum.rotate_left(5) ^ round);
    }
    spins.fetch_add(black_box(sum) | 1, Ordering::Relaxed);
}

#[inline(never)]
fn caller_of_the_busy_place(spins: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        busy_in_a_named_place(spins);
    }
    black_box(spins.load(Ordering::Relaxed));
}

// req 12.2: samples of a thread of ours are unwound to where it began, by tables alone.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[test]
fn a_busy_thread_is_found_with_its_callers() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let threads = Arc::<Threads>::default();
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let spins = AtomicU64::new(0);
    let recorded = std::thread::scope(|scope| {
        scope.spawn(|| {
            let _enrolled = threads.enrol("busy");
            caller_of_the_busy_place(&spins, &over);
        });
        while spins.load(Ordering::Relaxed) == 0 {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        // Sampled until there is something, however loaded the machine is.
        let mut recorded = Err("never begun".to_owned());
        for _ in 0..50 {
            recorded = record(&threads.all(), Duration::from_millis(400), &stop);
            let enough = |one: &super::Recorded| one.threads.iter().any(|one| one.samples > 4);
            if recorded.as_ref().map_or(true, enough) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        recorded
    });
    let recorded = recorded.unwrap();
    let found = recorded.stacks.iter().find(|one| {
        let at = |word: &str| one.frames.iter().position(|frame| frame.contains(word));
        let caller = at("caller_of_the_busy_place");
        caller.is_some() && caller < at("busy_in_a_named_place")
    });
    let found = found.unwrap_or_else(|| panic!("{:?}", recorded.stacks));
    assert_eq!(found.frames[..2], ["native", "busy"]);
    assert!(found.us >= 1_000_000 / u64::from(HZ));
    let told = recorded.json();
    assert_eq!(told["threads"][0]["name"], "busy");
    assert!(recorded
        .notes
        .iter()
        .any(|note| note.contains("into their callers")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_is_gone_is_refused_in_words() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let threads = Arc::<Threads>::default();
    let other = Arc::clone(&threads);
    let gone = std::thread::spawn(move || {
        let _enrolled = other.enrol("gone");
        other.all()
    });
    let gone = gone.join().unwrap();
    let stop = AtomicBool::new(false);
    let refused = record(&gone, Duration::from_millis(1), &stop);
    // Its number may belong to another thread by now; then nothing is sampled.
    match refused {
        Err(why) => assert!(why.contains("the kernel refuses timers"), "{why}"),
        Ok(recorded) => assert!(recorded.stacks.is_empty()),
    }
}

proptest! {
    // Bounded: whatever is in registers and stack, an unwind ends.
    #[test]
    fn an_unwind_ends_whatever_it_is_given(
        words in proptest::collection::vec(any::<u64>(), 0..64),
        registers in proptest::collection::vec(any::<u64>(), REGISTERS),
        near in any::<bool>(),
    ) {
        let modules = Modules::read();
        let mut sample = Box::new(Sample::NONE);
        sample.registers.copy_from_slice(&registers);
        // Addresses of real code lead further than random ones.
        let code = an_address();
        sample.pc = if near { code } else { registers[0] };
        for (at, word) in words.iter().enumerate() {
            let word = if near { code.wrapping_add(word % 4096) } else { *word };
            sample.stack[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        sample.len = words.len() * 8;
        let (addresses, _) = Unwinder::new(&modules).addresses(&sample);
        prop_assert!((1..=FRAMES_MAX + 1).contains(&addresses.len()));
    }

    // A file that is cut or changed is read as far as it goes.
    #[test]
    fn a_broken_file_is_no_panic(
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = std::fs::read("/proc/self/exe").unwrap_or_default();
        bytes.truncate(64 * 1024);
        if !bytes.is_empty() {
            let place = at.index(bytes.len().min(1024));
            bytes[place] = value;
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Some(elf) = Elf::parse(bytes) {
            prop_assert!(elf.symbol(1).is_none());
        }
    }
}

fn an_address() -> u64 {
    busy_in_a_named_place as fn(&AtomicU64) as usize as u64
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_has_the_name_of_its_function() {
    let modules = Modules::read();
    assert!(modules
        .name(an_address())
        .ends_with("busy_in_a_named_place"));
    assert_eq!(modules.name(1), "[0x1]");
    assert!(modules.of(1).is_none());
}

#[test]
fn different_stacks_are_bounded_and_the_rest_is_counted() {
    let mut folded = Folded::default();
    for address in 0..STACKS_MAX as u64 + 7 {
        folded.add(0, vec![address], address == 3);
    }
    folded.add(0, vec![0], false);
    assert_eq!(folded.stacks.len(), STACKS_MAX);
    assert_eq!((folded.unsorted, folded.cut), (7, 1));
    assert_eq!(folded.stacks[&(0, vec![0])], 2);
}

#[test]
fn collapsed_stacks_keep_their_separators() {
    let stacks = [stack(&["native", "a;b\nc", "x::<[u8; 4]>"], 20_202)];
    assert_eq!(collapsed(&stacks), "native;a:b c;x::<[u8: 4]> 20202\n");
}

// RELIABILITY S30: a name of code is text in the picture, and the picture asks for nothing.
#[test]
fn a_picture_is_well_formed_and_runs_nothing() {
    let hostile = "</text><script>alert(1)</script>&\"'";
    let stacks = [
        stack(&["native", "worker 0", hostile], 900_000),
        stack(&["native", "worker 0", "other"], 100_000),
        stack(&["native", "worker 1"], 1),
    ];
    let picture = svg(hostile, &stacks);
    assert!(!picture.contains("<script") && !picture.contains("href"));
    assert!(!picture.contains("style") && picture.matches("http").count() == 1);
    assert_eq!(
        picture.matches("<g>").count(),
        picture.matches("</g>").count()
    );
    assert!(
        picture.contains("worker 0 (1000.0 ms, 100.0 %)"),
        "{picture}"
    );
    assert!(picture.contains("other (100.0 ms, 10.0 %)"));
    assert!(!picture.contains("worker 1"), "too narrow to be seen");
    assert!(svg("nothing", &[]).ends_with("</svg>\n"));
}
