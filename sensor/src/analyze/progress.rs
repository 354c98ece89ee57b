//! The progress bar: on a terminal only, none in a pipe.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bytes, packets and the time that is left.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// `total` bytes are to be read, where that is known.
    pub(super) fn new(total: Option<u64>) -> Progress {
        // Standard error, so that results on standard output stay clean; hidden where it is no terminal.
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let template = match total {
            Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}  {msg}  {eta} left",
            None => "{spinner} {bytes} {bytes_per_sec}  {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// How far it is.
    pub(super) fn update(&self, bytes: u64, packets: u64) {
        if self.0.is_hidden() {
            return;
        }
        self.0.set_position(bytes);
        let seconds = self.0.elapsed().as_secs_f64().max(0.001);
        self.0.set_message(format!("{packets} packets, {:.0} packets/s", packets as f64 / seconds));
    }

    /// Seconds since the bar was made.
    pub(super) fn elapsed(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Takes the bar off the screen.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
