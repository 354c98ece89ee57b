//! States of machines that one test machine cannot all have: by what their files and NICs would say.
//! States that it can have are in `tests/check`.

mod machine;
mod network;
mod page;
mod places;

use super::*;

/// A line is as expected: its status, some of its words, and a remedy exactly where there is something to mend.
fn expect(lines: impl IntoIterator<Item = (Line, Status, &'static str)>) {
    for (line, status, words) in lines {
        assert_eq!(line.status, status, "{line:?}");
        let all = format!("{}\n{}\n{}", line.says, line.command, line.remedy);
        assert!(all.contains(words), "{words} in {line:?}");
        let helps = !line.command.is_empty() || !line.remedy.is_empty();
        assert_eq!(helps, status != Status::Ok, "{line:?}");
        assert_eq!(subjects::of(line.name).name, line.name, "no subject of this name");
    }
}
