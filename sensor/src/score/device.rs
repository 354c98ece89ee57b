//! The device that scores and learns beside the CPU: the only file that knows which one it is.
//!
//! Only programs built with the feature `cuda` look for one. The libraries are opened while the program runs
//! (`cargo xtask cuda`), so that it starts on machines that have none of them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use candle_core::Device;

use super::config::ScoreConfig;
use super::gpu::{Failure, Gpu, Opened};

/// The program that looks at the device first, in a process of its own: a driver may end the process it is in.
static PROBE: OnceLock<PathBuf> = OnceLock::new();

/// Name of the command, see [`probe_command`].
pub const PROBE_COMMAND: &str = "gpu-probe";

/// Says which program to start as `PROGRAM gpu-probe INDEX` before the device is opened. Without one it is opened at once.
pub fn probe_by(program: PathBuf) {
    // Said again it is the same program.
    let _again = PROBE.set(program);
}

/// The GPU that the settings allow, one for the whole process; `None` where the model runs on the CPU.
pub fn gpu(config: &ScoreConfig) -> Option<Arc<Gpu>> {
    static SHARED: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    if config.device == super::config::DeviceChoice::Cpu {
        return None;
    }
    SHARED.get_or_init(|| here::start(config)).clone()
}

/// Opens the device of this index for a process that needs no guard; a `cap` of 0 is the default.
pub fn open(index: usize, cap: u64) -> Result<Opened, Failure> {
    super::gpu::guarded(|| here::open(index, cap)).map_err(here::absent_or_broken)
}

/// Seconds that the device takes for what is asked of it, by its own clock; `None` where it has none.
pub fn event_seconds(device: &Device, work: impl FnOnce()) -> Option<f64> {
    here::event_seconds(device, work)
}

/// Opens the device of this index and lets it prove itself: its name, or what is wrong, for the process that asked.
pub fn probe_command(index: usize) -> Result<String, Failure> {
    // The process that asked says it in its own words.
    std::panic::set_hook(Box::new(|_| {}));
    super::gpu::guarded(|| {
        let opened = here::open(index, 0)?;
        let tested = super::gpu::guarded(|| super::self_test::passes(&opened.device));
        let name = opened.name.clone();
        opened.give_back();
        tested.map(|()| name)
    })
    .map_err(here::absent_or_broken)
}

#[cfg(not(feature = "cuda"))]
mod here {
    use super::super::config::{DeviceChoice, ScoreConfig};
    use super::super::gpu::{Failure, Gpu, Opened};
    use candle_core::Device;
    use std::sync::Arc;

    const WITHOUT: &str = "this program was built without the feature cuda";

    pub(super) fn start(config: &ScoreConfig) -> Option<Arc<Gpu>> {
        if config.device == DeviceChoice::Cuda {
            tracing::warn!(
                "score.device is \"cuda\", but the model runs on the CPU: {WITHOUT} (docs/gpu.md)"
            );
        }
        None
    }

    pub(super) fn open(_index: usize, _cap: u64) -> Result<Opened, Failure> {
        Err(Failure::Absent(WITHOUT.to_owned()))
    }

    pub(super) fn event_seconds(_device: &Device, _work: impl FnOnce()) -> Option<f64> {
        None
    }

    pub(super) fn absent_or_broken(failure: Failure) -> Failure {
        failure
    }
}

#[cfg(feature = "cuda")]
mod here {
    use std::io::Read;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::time::Duration;

    use candle_core::Device;
    use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;

    use super::super::config::ScoreConfig;
    use super::super::gpu::{self, Failure, Gpu, Limits, Opened, apart, broken, guarded};
    use super::{PROBE, PROBE_COMMAND};

    /// The driver compiles the kernels at first use: half a minute on a slow machine.
    const PATIENCE: Duration = Duration::from_secs(60);
    /// The sensor waits so long before it starts on the CPU.
    const START: Duration = Duration::from_secs(30);
    const GIBIBYTE: u64 = 1 << 30;
    /// Exit code of the probe where there is no device.
    const ABSENT: i32 = 3;

    pub(super) fn start(config: &ScoreConfig) -> Option<Arc<Gpu>> {
        let (index, cap) = (config.gpu, config.gpu_memory);
        let open = move || {
            guarded(|| {
                probe(index)?;
                open(index, cap)
            })
            .map_err(absent_or_broken)
        };
        quiet();
        let limits = Limits { latency: config.gpu_latency, retry: config.gpu_retry, patience: gpu::PATIENCE };
        Gpu::start(open, limits, START)
    }

    /// What panics on the thread of the device is caught there and told in its own words.
    fn quiet() {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(gpu::THREAD) {
                before(panic);
            }
        }));
    }

    pub(super) fn open(index: usize, cap: u64) -> Result<Opened, Failure> {
        // On the stream of this thread, which is the only one that uses the device: on a stream of its own the bindings would record
        // and await events for each operation.
        let device = Device::new_cuda(index).map_err(broken)?;
        let cuda = device.as_cuda_device().map_err(broken)?.clone();
        let context = cuda.cuda_stream().context().clone();
        // Only so are cuBLAS and cuRAND given back one after the other.
        let last = Box::new(cuda.cublas_handle());
        drop(cuda);
        let mut opened = Opened { device, name: String::new(), cap, used: Box::new(|| 0), last };
        let facts = context.name().and_then(|name| Ok((name, context.mem_get_info()?)));
        let (name, (free, total)) = match facts {
            Ok(facts) => facts,
            Err(error) => {
                opened.give_back();
                apart(context);
                return Err(Failure::Broken(error.to_string()));
            }
        };
        if cap == 0 {
            opened.cap = (4 * GIBIBYTE).min(total as u64 / 10 * 6);
        }
        // What others took before is theirs.
        let used = move || {
            let now = context.mem_get_info().map_or(free, |(free, _)| free);
            free.saturating_sub(now) as u64
        };
        (opened.name, opened.used) = (name, Box::new(used));
        Ok(opened)
    }

    pub(super) fn event_seconds(device: &Device, work: impl FnOnce()) -> Option<f64> {
        let stream = device.as_cuda_device().ok()?.cuda_stream();
        let mark = || stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).ok();
        let begun = mark()?;
        work();
        let milliseconds = begun.elapsed_ms(&mark()?).ok()?;
        Some(f64::from(milliseconds) / 1e3)
    }

    /// What the bindings say where there is nothing to bind to.
    pub(super) fn absent_or_broken(failure: Failure) -> Failure {
        let text = failure.to_string();
        if text.contains("dynamically load the \"cuda\"") {
            return Failure::Absent("there is no NVIDIA driver (libcuda.so.1 was not found)".to_owned());
        }
        if text.contains("CUDA_ERROR_NO_DEVICE") {
            return Failure::Absent("the NVIDIA driver has no device (CUDA_ERROR_NO_DEVICE)".to_owned());
        }
        if let Some((_, after)) = text.split_once("dynamically load the \"") {
            let library = after.split('"').next().unwrap_or_default();
            return Failure::Absent(format!(
                "the NVIDIA driver is there, but lib{library} of CUDA 13 was not found: install it, or name its folder \
                 in LD_LIBRARY_PATH"
            ));
        }
        failure
    }

    /// Lets another process try first.
    fn probe(index: usize) -> Result<(), Failure> {
        let Some(program) = PROBE.get() else { return Ok(()) };
        let failed = |what: &str| Failure::Broken(format!("the probe {what}"));
        let mut child = Command::new(program)
            .args([PROBE_COMMAND, &index.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(&format!("could not be started: {error}")))?;
        const STEP: Duration = Duration::from_millis(20);
        for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
            if let Some(status) = child.try_wait().map_err(|error| failed(&error.to_string()))? {
                let mut said = String::new();
                let pipe = child.stdout.take();
                // A line, if any.
                let _none = pipe.map(|pipe| pipe.take(1000).read_to_string(&mut said));
                let said = crate::telemetry::printable(said.trim(), 300);
                return match status.code() {
                    Some(0) => Ok(()),
                    Some(ABSENT) => Err(Failure::Absent(said)),
                    Some(_) => Err(Failure::Broken(said)),
                    None => Err(failed(&format!("was ended by the driver ({status})"))),
                };
            }
            std::thread::sleep(STEP);
        }
        // It hangs in the driver, where it may be beyond killing.
        let _gone = child.kill();
        Err(failed(&format!("did not end within {} s", PATIENCE.as_secs())))
    }
}
