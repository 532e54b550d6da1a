//! How much memory the process took, as the system counts it.

/// How much more memory may be resident at once than at the start, in KiB.
const RESIDENT_KIB: u64 = 256 * 1024;
/// How much more address space may have been asked for at once, in KiB: a length that is believed
/// asks for it even where nothing is ever written there. (An allocator's arenas take some per thread.)
const ASKED_KIB: u64 = 1024 * 1024;

/// The most that was held so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// Most resident, in KiB; 0 where the system does not say.
    pub resident_kib: u64,
    asked_kib: u64,
}

impl Memory {
    /// As of now, by `/proc/self/status`.
    pub fn now() -> Memory {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Memory { resident_kib: kib("VmHWM"), asked_kib: kib("VmPeak") }
    }

    /// What of it is more than inputs of this size explain.
    pub fn too_much_since(&self, start: &Memory) -> Option<String> {
        let resident = self.resident_kib.saturating_sub(start.resident_kib);
        let asked = self.asked_kib.saturating_sub(start.asked_kib);
        if resident > RESIDENT_KIB {
            return Some(format!("{resident} KiB more were resident, at most {RESIDENT_KIB} may be"));
        }
        (asked > ASKED_KIB).then(|| format!("{asked} KiB more were asked for, at most {ASKED_KIB} may be"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_holds_is_seen() {
        let before = Memory::now();
        let room: Vec<u8> = Vec::with_capacity(2 * ASKED_KIB as usize * 1024);
        std::hint::black_box(&room);
        assert!(before.resident_kib > 0, "this system says how much");
        let said = Memory::now().too_much_since(&before).expect("two gigabytes are too much");
        assert!(said.contains("asked for"), "{said}");
    }
}
