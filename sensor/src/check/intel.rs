//! The lists of others: whether each can be read where it is a file, and how old the last good one is.

use super::Line;
use crate::config::Config;
use crate::intel::{FeedConfig, keeper};

/// A line for each list. No server is asked.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    if !config.intel.enabled {
        return Vec::new();
    }
    config.intel.feed.iter().map(|feed| line(feed, config)).collect()
}

fn line(feed: &FeedConfig, config: &Config) -> Line {
    let name = &feed.name;
    let (taken, kept) = keeper::kept(feed, &config.intel, &config.state_dir);
    let last = if taken == 0 {
        "no last good list yet".to_owned()
    } else {
        format!("last good list of {}: {kept} entries", crate::alert::report::rfc3339(taken * 1_000_000_000))
    };
    let unreadable = [&feed.path, &feed.token_file, &feed.password_file, &feed.ca_file]
        .into_iter()
        .flatten()
        .find_map(|path| std::fs::metadata(path).err().map(|error| (path, error)));
    match unreadable {
        Some((path, error)) => Line::warn("intel", format!("{name}: {}: {error}; {last}", path.display()))
            .advise("correct the path, or let the sensor's user read it"),
        None if feed.path.is_some() || taken != 0 => Line::ok("intel", format!("{name}: {last}")),
        None => Line::ok("intel", format!("{name}: {last}; its server is asked once the sensor runs")),
    }
}
