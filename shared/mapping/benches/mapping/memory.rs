//! Peak memory of mapping one page: measured by the operating system, in a process of its own.

use std::process::Command;

use ohx_mapping::{Context, Mapping, builtin};

use crate::SUBJECTS;

/// The bytes that a process needs at its peak to map a page of so many records, beyond those it has with the page
/// alone. None where the operating system does not say.
pub(crate) fn of(record: &str, records: usize) -> Option<u64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program).args(["--memory", record, &records.to_string()]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Whether this is such a process. It has done its work by then.
pub(crate) fn is_asked_for(context: &Context) -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, flag, record, records] = arguments.as_slice() else { return false };
    if flag != "--memory" {
        return false;
    }
    let subject = SUBJECTS.iter().find(|s| s.record == record).unwrap();
    let mapping = Mapping::parse(builtin("withings", record).unwrap()).unwrap();
    let page = (subject.page)(records.parse().unwrap());
    // What is used once a process, such as the time zone's table, is not the page's.
    mapping.map((subject.page)(1).as_bytes(), context).unwrap();
    // Linux: the peak begins anew at what is resident now.
    if std::fs::write("/proc/self/clear_refs", "5").is_ok()
        && let Some(before) = peak()
    {
        let mapped = mapping.map(page.as_bytes(), context).unwrap();
        if let Some(after) = peak() {
            println!("{}", after.saturating_sub(before));
        }
        std::hint::black_box(mapped);
    }
    true
}

/// The most memory that was resident, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
