//! The build for NVIDIA GPUs where there is none, or a driver that does not work: it starts, says in one line why the
//! model runs on the CPU, and finds what the CPU finds. `cargo xtask cuda test` runs this.
//!
//! The drivers are libraries of a few lines, made here: as far as the program can see they are NVIDIA's. `device.c` is one that
//! works, on the CPU: what it is asked for is what a GPU would be asked for.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sensor_tests::capture::{self, Order};
use sensor_tests::traffic::{self, MILLISECOND, SECOND, Traffic};

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600 * SECOND;
const VESPER: &str = env!("CARGO_BIN_EXE_vesper");

mod device;

/// What a driver does.
struct Driver {
    name: &'static str,
    /// Its source; `None` where there is none.
    driver: Option<&'static str>,
    /// The libraries beside it.
    libraries: bool,
    /// Exit code of the probe.
    code: i32,
    /// What is said of it.
    says: &'static str,
}

const DRIVERS: [Driver; 6] = [
    Driver { name: "none", driver: None, libraries: false, code: 3, says: "there is no NVIDIA driver" },
    Driver {
        name: "no device",
        driver: Some("#define INIT 100"),
        libraries: true,
        code: 3,
        says: "CUDA_ERROR_NO_DEVICE",
    },
    Driver {
        name: "no libraries",
        driver: Some("#define INIT 0"),
        libraries: false,
        code: 3,
        says: "libcublas of CUDA 13 was not found",
    },
    Driver {
        name: "out of memory",
        driver: Some("#define ALLOCATION 2"),
        libraries: true,
        code: 1,
        says: "CUDA_ERROR_OUT_OF_MEMORY",
    },
    Driver {
        name: "lost",
        driver: Some("#define ALLOCATION 719"),
        libraries: true,
        code: 1,
        says: "CUDA_ERROR_LAUNCH_FAILED",
    },
    Driver {
        name: "ends the process",
        driver: Some("void abort(void); int cuInit(unsigned f) { abort(); }"),
        libraries: true,
        code: -6,
        says: "was ended by the driver",
    },
];

/// A driver with one device, whose memory is what `ALLOCATION` says.
const ONE_DEVICE: &str = r#"
#ifndef INIT
#define INIT 0
#endif
#ifndef ALLOCATION
#define ALLOCATION 0
#endif
typedef unsigned long long u64;
int cuInit(unsigned f) { return INIT; }
int cuDeviceGet(int *d, int n) { *d = 0; return n ? 101 : 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGetName(char *s, int n, int d) { s[0] = 'T'; s[1] = 0; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = 1; return 0; }
int cuDeviceTotalMem_v2(u64 *n, int d) { *n = 8ull << 30; return 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *)1; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { return 0; }
int cuCtxSetCurrent(void *c) { return 0; }
int cuCtxGetCurrent(void **c) { *c = (void *)1; return 0; }
int cuCtxSynchronize(void) { return 0; }
int cuStreamCreate(void **s, unsigned f) { *s = (void *)2; return 0; }
int cuStreamDestroy_v2(void *s) { return 0; }
int cuStreamSynchronize(void *s) { return 0; }
int cuStreamWaitEvent(void *s, void *e, unsigned f) { return 0; }
int cuEventCreate(void **e, unsigned f) { *e = (void *)3; return 0; }
int cuEventDestroy_v2(void *e) { return 0; }
int cuEventRecord(void *e, void *s) { return 0; }
int cuMemGetInfo_v2(u64 *f, u64 *t) { *f = 7ull << 30; *t = 8ull << 30; return 0; }
int cuMemAllocAsync(u64 *p, u64 n, void *s) { return ALLOCATION; }
int cuMemAlloc_v2(u64 *p, u64 n) { return ALLOCATION; }
int cuMemFreeAsync(u64 p, void *s) { return 0; }
static int say(int e, const char **s) { *s = "what the driver says"; return 0; }
int cuGetErrorName(int e, const char **s) { return say(e, s); }
int cuGetErrorString(int e, const char **s) { return say(e, s); }
"#;

const CUBLAS: &str = "int cublasCreate_v2(void **h) { *h = (void *)4; return 0; } \
    int cublasDestroy_v2(void *h) { return 0; } int cublasSetStream_v2(void *h, void *s) { return 0; }";
const CURAND: &str = "int curandCreateGenerator(void **g, int t) { *g = (void *)5; return 0; } \
    int curandDestroyGenerator(void *g) { return 0; } int curandSetStream(void *g, void *s) { return 0; } \
    int curandSetPseudoRandomGeneratorSeed(void *g, unsigned long long s) { return 0; }";

/// Compiles a library.
fn library(folder: &Path, name: &str, source: &str) {
    let code = folder.join(name).with_extension("c");
    fs::write(&code, source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-w", "-O2", "-shared", "-fPIC", "-o"]).arg(folder.join(name)).arg(&code).arg("-lm");
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with the libraries of a driver.
fn driver(folder: &Path, driver: &Driver) -> PathBuf {
    let folder = folder.join(driver.name.replace(' ', "-"));
    fs::create_dir(&folder).unwrap();
    if let Some(source) = driver.driver {
        let rest = if source.starts_with('#') { ONE_DEVICE } else { "" };
        library(&folder, "libcuda.so.1", &format!("{source}\n{rest}"));
    }
    if driver.libraries {
        library(&folder, "libcublas.so.13", CUBLAS);
        library(&folder, "libcurand.so.10", CURAND);
    }
    folder
}

fn vesper(libraries: &Path, arguments: &[&str]) -> Output {
    Command::new(VESPER)
        .args(arguments)
        .env("LD_LIBRARY_PATH", libraries)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

/// A minute of a small network, and a port scan.
fn capture(folder: &Path) -> PathBuf {
    let mut traffic = Traffic::new(1);
    traffic.benign(START, 90 * SECOND, 6);
    traffic.port_scan(START + 70 * SECOND, traffic::client(66), traffic::SSH.0, 500, 5 * MILLISECOND);
    let path = folder.join("capture.pcapng");
    fs::write(&path, capture::pcapng(&traffic.into_packets(), Order::Little, capture::ETHERNET)).unwrap();
    path
}

#[test]
fn drivers_that_do_not_work_are_survived() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    let config = |device: &str| {
        let path = folder.path().join(format!("{device}.toml"));
        fs::write(&path, format!("[score]\ndevice = \"{device}\"\nwarmup_time = \"30s\"\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let analyze = |libraries: &Path, device: &str, name: &str| {
        let scores = folder.path().join(format!("{name}.csv"));
        let scores = scores.to_str().unwrap();
        let arguments =
            ["analyze", capture.to_str().unwrap(), "--config", &config(device), "--scores", scores];
        let output = vesper(libraries, &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {said}");
        (fs::read_to_string(scores).unwrap(), said)
    };
    let (expected, said) = analyze(folder.path(), "cpu", "cpu");
    assert!(expected.lines().count() > 100 && !said.contains("GPU"), "{said}");
    for case in &DRIVERS {
        let libraries = driver(folder.path(), case);
        let probed = vesper(&libraries, &["gpu-probe", "0"]);
        let code = probed.status.code().unwrap_or_else(|| {
            use std::os::unix::process::ExitStatusExt;
            -probed.status.signal().unwrap()
        });
        let said = String::from_utf8_lossy(&probed.stdout).into_owned();
        assert_eq!(code, case.code, "{}: {said}", case.name);
        assert!(code < 0 || (said.contains(case.says) && said.lines().count() == 1), "{}: {said}", case.name);

        let (scores, said) = analyze(&libraries, "auto", case.name);
        assert_eq!(scores, expected, "{}", case.name);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("runs on the CPU")).collect();
        assert!(lines.len() == 1 && lines[0].contains(case.says), "{}: {said}", case.name);
        assert!(!said.contains("panicked"), "{}: {said}", case.name);
    }
}

#[test]
fn it_needs_no_library_of_cuda_to_start() {
    let output = Command::new("ldd").arg(VESPER).output().unwrap();
    let needed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(needed.contains("libc.so"), "{needed}");
    for library in ["cuda", "cublas", "curand", "nvrtc"] {
        assert!(!needed.contains(library), "{needed}");
    }
}
