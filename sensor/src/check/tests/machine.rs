use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::time::Kept;
use super::super::{bpf, gpu, kernel, machine, mend, pins, privileges, service, time};
use super::*;
use crate::capture::nic::Nic;
use crate::capture::{CaptureConfig, CaptureError, Mode};

#[test]
fn kernels() {
    let refused = || CaptureError::Program { reason: "R1 invalid mem access".to_owned(), hint: "" };
    let pinned = |folder: &str, kind, above| pins::judge(Path::new(folder), kind, above, true);
    let (bpf, other) = (Some(0xcafe_4a11), Some(0x6265_6572));
    expect([
        (kernel::kernel("6.18.0-rc1"), Status::Ok, "Linux 6.18"),
        (kernel::kernel("5.18.0"), Status::Ok, "Linux 5.18"),
        (kernel::kernel("5.4.0-150-generic"), Status::Fail, "too old"),
        (kernel::kernel("strange"), Status::Fail, "too old"),
        (kernel::features((6, 18), true), Status::Ok, "all that the sensor can use; BTF is there"),
        (
            kernel::features((6, 5), false),
            Status::Ok,
            "newer kernels have: jumbo frames through AF_XDP (6.6), sym",
        ),
        (kernel::jit(Some("1\n")), Status::Ok, "on"),
        (kernel::jit(Some("0\n")), Status::Warn, "sysctl -w net.core.bpf_jit_enable=1"),
        (kernel::jit(None), Status::Ok, "namespace"),
        (kernel::unprivileged_bpf(Some("2\n")), Status::Ok, "only privileged"),
        (kernel::unprivileged_bpf(Some("0\n")), Status::Warn, "sysctl -w kernel.unprivileged_bpf_disabled=2"),
        (pinned("/sys/fs/bpf/vesper", bpf, bpf), Status::Ok, "is there"),
        (pinned("/sys/fs/bpf/vesper", bpf, other), Status::Ok, "is there"),
        (pinned("/sys/fs/bpf/vesper", None, bpf), Status::Warn, "install -d -m 0700"),
        (pinned("/sys/fs/bpf/vesper", None, other), Status::Warn, "mount -t bpf bpf /sys/fs/bpf && install"),
        (pinned("/var/pins", other, other), Status::Warn, "set capture.pin_dir"),
        (pinned("", None, None), Status::Ok, "not asked for"),
        (bpf::maps(&[]), Status::Ok, "LPM trie"),
        (bpf::maps(&["ring buffer"]), Status::Fail, "the kernel has no ring buffer"),
        (bpf::program([Ok(()), Ok(())]), Status::Ok, "takes it"),
        (bpf::program([Ok(()), Err(refused())]), Status::Warn, "not for jumbo frames"),
        (bpf::program([Err(refused()), Ok(())]), Status::Fail, "R1 invalid mem access"),
        (bpf::af_xdp(None), Status::Ok, "there"),
        (bpf::af_xdp(Some(Errno::PERM)), Status::Ok, "see capabilities"),
        (bpf::af_xdp(Some(Errno::AFNOSUPPORT)), Status::Fail, "CONFIG_XDP_SOCKETS"),
        (bpf::af_xdp(Some(Errno::MFILE)), Status::Fail, "--mode host"),
    ]);
}

#[test]
fn rights_and_memory() {
    let all = 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39;
    let root = 1 << 12 | 1 << 13 | 1 << 21;
    let gibibyte = 1 << 30;
    let capabilities = privileges::capabilities;
    expect([
        (capabilities(all, Mode::Mirror), Status::Ok, "all"),
        (capabilities(root, Mode::Mirror), Status::Ok, "all"),
        (capabilities(all & !(1 << 13), Mode::Host), Status::Ok, "all"),
        (capabilities(all & !(1 << 13), Mode::Mirror), Status::Fail, "missing: cap_net_raw (to open"),
        (capabilities(0, Mode::Host), Status::Fail, "missing: cap_bpf (to load"),
        (
            privileges::judge_locked(1 << 24, Some(65_536), false),
            Status::Fail,
            "64KiB may be locked, samples need 16MiB",
        ),
        (privileges::judge_locked(1 << 24, Some(65_536), true), Status::Ok, "16MiB"),
        (privileges::judge_locked(1 << 24, None, false), Status::Ok, "16MiB"),
        (
            machine::judge_memory(gibibyte, Some(gibibyte - 1), "1GiB".into()),
            Status::Fail,
            "more than is available",
        ),
        (machine::judge_memory(gibibyte, Some(gibibyte + 1), "1GiB".into()), Status::Warn, "over half"),
        (machine::judge_memory(gibibyte, Some(4 * gibibyte), "1GiB".into()), Status::Ok, "1GiB"),
    ]);
    assert!(privileges::may_load(all) && privileges::may_load(root) && !privileges::may_load(1 << 12));
    assert_eq!(machine::available("MemTotal: 5 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
    // 330 bytes an entry in the kernel, 13 in the sensor, and a lane's 128 KiB of prefixes.
    assert_eq!(
        machine::flow_table_bytes(&CaptureConfig::default(), 1),
        262_144 * (330 + 13) + 128 + (128 << 10)
    );
    let nic = Nic { rx_queues: 2, ..Nic::default() };
    assert_eq!(machine::umem_bytes(&CaptureConfig::default(), &nic), 32 << 20);
}

#[test]
fn clocks_and_cpus() {
    expect([
        (machine::clock_source("tsc\n", "tsc hpet acpi_pm\n"), Status::Ok, "tsc"),
        (machine::clock_source("kvm-clock\n", "kvm-clock tsc acpi_pm\n"), Status::Ok, "kvm-clock"),
        (machine::clock_source("hpet\n", "tsc hpet acpi_pm\n"), Status::Warn, "echo tsc > /sys/"),
        (machine::clock_source("acpi_pm\n", "hpet acpi_pm\n"), Status::Warn, "found no steady TSC"),
        (machine::clock_source("", ""), Status::Ok, "not shown"),
        (machine::governor(None, None), Status::Ok, "hypervisor"),
        (
            machine::governor(Some("performance\n"), Some("acpi-cpufreq\n")),
            Status::Ok,
            "performance (acpi-cpufreq)",
        ),
        (
            machine::governor(Some("powersave\n"), Some("intel_pstate\n")),
            Status::Ok,
            "powersave (intel_pstate)",
        ),
        (
            machine::governor(Some("powersave\n"), Some("acpi-cpufreq\n")),
            Status::Warn,
            "cpupower frequency-set",
        ),
        (time::judge(Kept::Right("chrony")), Status::Ok, "synchronised, says chrony"),
        (time::judge(Kept::Wrong("timedatectl")), Status::Warn, "not synchronised"),
        (time::judge(Kept::Unknown), Status::Warn, "nobody says"),
    ]);
    let tracking = |leap: &str| {
        format!(
            "C0A80001,192.168.0.1,3,1700000000.1,0.00001,-0.00002,0.00003,1.2,0.0,0.01,0.02,0.03,64.2,{leap}\n"
        )
    };
    assert_eq!(time::chrony(&tracking("Normal")), Some(Kept::Right("chrony")));
    assert_eq!(time::chrony(&tracking("Not synchronised")), Some(Kept::Wrong("chrony")));
    assert_eq!(time::chrony("506 Cannot talk to daemon\n"), None);
    assert_eq!(time::timedatectl("yes\n"), Some(Kept::Right("timedatectl")));
    assert_eq!(time::timedatectl("no\n"), Some(Kept::Wrong("timedatectl")));
    assert_eq!(time::timedatectl(""), None);
}

#[test]
fn gpus() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    expect([(gpu::line(root), Status::Ok, "none")]);
    put("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
    put("sys/bus/pci/devices/0000:01:00.0/class", "0x040300\n");
    expect([(gpu::line(root), Status::Ok, "none")]);
    put("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n");
    expect([(gpu::line(root), Status::Warn, "its driver is not loaded")]);
    put(
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.07  Sat Feb 17 22:55:48 UTC 2024\n\
         GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
    );
    put("dev/nvidiactl", "");
    expect([(gpu::line(root), Status::Warn, "driver 535.161.07, but no /dev/nvidia0, no /dev/nvidia-uvm")]);
    put("dev/nvidia0", "");
    put("dev/nvidia-uvm", "");
    expect([(gpu::line(root), Status::Warn, "no libcuda.so.1")]);
    put("usr/lib64/libcuda.so.535.161.07", "");
    symlink("libcuda.so.535.161.07", root.join("usr/lib64/libcuda.so.1")).unwrap();
    expect([(gpu::line(root), Status::Ok, "NVIDIA driver 535.161.07, ")]);
    let open =
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder)\n";
    assert_eq!(gpu::version(open).as_deref(), Some("580.95.05"));
}

#[test]
fn units() {
    let of = |text: Option<&str>, at: usize| service::judge(text).swap_remove(at);
    let whole = "[Service]\nRestart=on-failure\nRestartSec=2s\nWatchdogSec=30s\n";
    let bare = "[Service]\nExecStart=/usr/bin/vesper run\n";
    expect([
        (of(None, 0), Status::Warn, "no vesper.service"),
        (of(Some(whole), 0), Status::Ok, "Restart=on-failure"),
        (of(Some(whole), 1), Status::Ok, "hangs for 30s"),
        (of(Some(bare), 0), Status::Warn, "does not restart"),
        (of(Some(bare), 1), Status::Warn, "WatchdogSec=30s"),
    ]);
    let ours = include_str!("../../../../systemd/vesper.service");
    assert!(service::judge(Some(ours)).iter().all(|line| line.status == Status::Ok));

    let folder = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = ["etc", "lib"].map(|name| folder.path().join(name)).to_vec();
    assert_eq!(service::unit(&folders), None);
    let drops = folders[0].join("vesper.service.d");
    fs::create_dir_all(&drops).unwrap();
    fs::create_dir_all(&folders[1]).unwrap();
    fs::write(folders[1].join("vesper.service"), whole).unwrap();
    fs::write(drops.join("quiet.conf"), "[Service]\nWatchdogSec=0\n").unwrap();
    let joined = service::unit(&folders).unwrap();
    expect([(of(Some(&joined), 1), Status::Warn, "has none")]);
}

#[test]
fn owners_of_new_folders() {
    let users = "root:x:0:0:root:/root:/bin/bash\nvesper:x:998:997::/var/lib/vesper:/usr/sbin/nologin\n";
    assert_eq!(mend::ids_of(users), Some((998, 997)));
    assert_eq!(mend::ids_of("vespers:x:1:1::/:\nbroken\n"), None);
    assert_eq!(mend::ids_of("vesper:x:none\n"), None);
}
