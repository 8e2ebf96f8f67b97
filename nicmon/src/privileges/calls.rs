//! Forbids system calls (seccomp).
//!
//! What is forbidden fails with `EPERM`. All others go on working, because which ones a C library uses for a
//! file or a thread is its own business and changes.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// Forbidden to both processes.
const FORBIDDEN: &[libc::c_long] = &[
    // Other programs, and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // musl signals its own threads with it.
    #[cfg(not(target_env = "musl"))]
    libc::SYS_tkill,
    libc::SYS_kcmp,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    // The kernel, and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_fanotify_init,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    // They would do what is forbidden here.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Connections.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Changes to files. Those that are opened for writing have a rule below.
    libc::SYS_openat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_truncate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    FILE_SETATTR,
    #[cfg(not(target_arch = "riscv64"))]
    libc::SYS_renameat,
];

/// Calls of older programs, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_OLD: &[libc::c_long] = &[
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_OLD: &[libc::c_long] = &[];

// Newer than the C library's headers; the same number on all architectures.
const QUOTACTL_FD: libc::c_long = 443;
const FCHMODAT2: libc::c_long = 452;
const SETXATTRAT: libc::c_long = 463;
const REMOVEXATTRAT: libc::c_long = 466;
const OPEN_TREE_ATTR: libc::c_long = 467;
const FILE_SETATTR: libc::c_long = 469;

/// Only the broker may do this.
const FOR_BROKER: &[libc::c_long] = &[libc::SYS_setns, libc::SYS_perf_event_open];

/// Commands of `bpf` that work with descriptors, and without capabilities since Linux 5.19
/// (`include/uapi/linux/bpf.h`): elements of maps (1 to 4, 21, 24 to 27), what a program is (15), and
/// attaching and detaching it (17, 28, 34).
const BY_DESCRIPTOR: [u64; 13] = [1, 2, 3, 4, 15, 17, 21, 24, 25, 26, 27, 28, 34];

/// Requests of `ioctl`: typing into a terminal (`TIOCSTI`, and a subcommand of `TIOCLINUX`), having another
/// process signalled (`FIOSETOWN`, `SIOCSPGRP`), and changing a file that is open only for reading
/// (`FS_IOC_SETFLAGS`, `FS_IOC_FSSETXATTR`).
const REQUESTS: [u64; 6] = [0x5412, 0x541c, 0x8901, 0x8902, 0x4008_6602, 0x401c_5820];

/// Commands of `fcntl` that have another process signalled: `F_SETOWN` and `F_SETOWN_EX`.
const OWNERS: [u64; 2] = [8, 15];

/// Reading, writing or both; the C library's mask may have more bits.
const ACCESS_MODE: libc::c_int = 3;

/// From this number on, calls are those of the x32 ABI (`__X32_SYSCALL_BIT`,
/// `arch/x86/include/uapi/asm/unistd.h`). Other architectures have none so high.
const X32: u32 = 0x4000_0000;

/// A condition on an argument: its position, how to compare, and with what.
type Condition = (u8, SeccompCmpOp, u64);
/// A system call that is forbidden only with some arguments: if all conditions of one of the sets hold.
type Rule = (libc::c_long, Vec<Vec<Condition>>);

/// Returns whether that is possible here. `signals_others` leaves signals to other processes alone.
pub(super) fn restrict_rest(signals_others: bool) -> bool {
    let mut rules = rules();
    rules.push((libc::SYS_bpf, vec![other_than(0, &BY_DESCRIPTOR)]));
    if !signals_others {
        rules.push(signals());
    }
    restrict(&[FORBIDDEN, FORBIDDEN_OLD, FOR_BROKER].concat(), &rules)
}

/// Returns whether that is possible here.
pub(super) fn restrict_broker() -> bool {
    let mut rules = rules();
    // Only network namespaces.
    rules.push((libc::SYS_setns, vec![other_than(1, &[number(libc::CLONE_NEWNET)])]));
    rules.push(signals());
    restrict(&[FORBIDDEN, FORBIDDEN_OLD].concat(), &rules)
}

fn rules() -> Vec<Rule> {
    let own = u64::from(std::process::id());
    // New namespaces, the user's first of all, in which the process would hold every capability.
    let namespaces = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    // The kernel makes a raw one a datagram socket (`unix_create`, `net/unix/af_unix.c`).
    let datagrams = [libc::SOCK_DGRAM, libc::SOCK_RAW].map(|kind| masked(1, 0xf, kind));
    let no_unix = other_than(0, &[number(libc::AF_UNIX)]);
    let mut rules = vec![
        (libc::SYS_openat, writing(2)),
        (libc::SYS_clone, namespaces.map(|flag| masked(0, flag, flag)).to_vec()),
        (libc::SYS_ioctl, one_of(1, &REQUESTS)),
        (libc::SYS_fcntl, one_of(1, &OWNERS)),
        (libc::SYS_socket, vec![other_than(0, &[number(libc::AF_NETLINK)])]),
        // A datagram can be sent to any address.
        (libc::SYS_socketpair, [&datagrams[..], &[no_unix]].concat()),
        (libc::SYS_tgkill, vec![other_than(0, &[own])]),
        (libc::SYS_prlimit64, vec![other_than(0, &[0, own])]),
    ];
    #[cfg(target_arch = "x86_64")]
    rules.push((libc::SYS_open, writing(1)));
    rules
}

/// Signals to others than this process and its group.
fn signals() -> Rule {
    (libc::SYS_kill, vec![other_than(0, &[0, u64::from(std::process::id())])])
}

/// Opening a file to change it; the flags are at this position.
fn writing(argument: u8) -> Vec<Vec<Condition>> {
    let modes = [libc::O_WRONLY, libc::O_RDWR, ACCESS_MODE].map(|mode| masked(argument, ACCESS_MODE, mode));
    let flags = [libc::O_CREAT, libc::O_TRUNC].map(|flag| masked(argument, flag, flag));
    modes.into_iter().chain(flags).collect()
}

fn masked(argument: u8, mask: libc::c_int, value: libc::c_int) -> Vec<Condition> {
    vec![(argument, SeccompCmpOp::MaskedEq(number(mask)), number(value))]
}

fn one_of(argument: u8, values: &[u64]) -> Vec<Vec<Condition>> {
    values.iter().map(|value| vec![(argument, SeccompCmpOp::Eq, *value)]).collect()
}

fn other_than(argument: u8, values: &[u64]) -> Vec<Condition> {
    values.iter().map(|value| (argument, SeccompCmpOp::Ne, *value)).collect()
}

/// A constant of the C library, none of which is negative.
fn number(constant: libc::c_int) -> u64 {
    u64::from(constant.unsigned_abs())
}

fn restrict(always: &[libc::c_long], sometimes: &[Rule]) -> bool {
    let apply = || {
        seccompiler::apply_filter(&filter(always, sometimes, libc::EPERM)?)?;
        // Its flags are in memory, where no filter sees them. The C library falls back to `clone`.
        seccompiler::apply_filter(&filter(&[libc::SYS_clone3], &[], libc::ENOSYS)?)?;
        seccompiler::apply_filter(&without_x32())
    };
    apply().is_ok()
}

fn filter(
    always: &[libc::c_long],
    sometimes: &[Rule],
    errno: libc::c_int,
) -> seccompiler::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = always.iter().map(|call| (*call, Vec::new())).collect();
    for (call, sets) in sometimes {
        let condition = |(argument, operator, value): &Condition| {
            SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator.clone(), *value)
        };
        for set in sets {
            let conditions = set.iter().map(condition).collect::<Result<_, _>>()?;
            rules.entry(*call).or_default().push(SeccompRule::new(conditions)?);
        }
    }
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()?)
}

/// The other filters compare numbers, and x32 has others for the same calls (`include/uapi/linux/seccomp.h`,
/// `include/uapi/linux/bpf_common.h`).
fn without_x32() -> [sock_filter; 4] {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let step = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    [
        // `seccomp_data.nr`
        step(LOAD_WORD, 0, 0),
        step(JUMP_IF_AT_LEAST, 1, X32),
        step(RETURN, 0, ALLOW),
        step(RETURN, 0, ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}

#[cfg(test)]
mod tests {
    use std::{io, thread};

    use super::*;

    /// The error of a call whose arguments make no sense: without a filter, hardly any is `EPERM`.
    #[expect(unsafe_code, reason = "any system call")]
    fn error_of(call: libc::c_long, arguments: [libc::c_long; 3]) -> Option<i32> {
        let [first, second, third] = arguments;
        // SAFETY: addresses are -1, which nothing can be written to or read from.
        let result = unsafe { libc::syscall(call, first, second, third, -1, -1, -1) };
        (result < 0).then(io::Error::last_os_error)?.raw_os_error()
    }

    const NONSENSE: [libc::c_long; 3] = [-1, -1, -1];

    fn on_a_thread(test: impl FnOnce() + Send + 'static) {
        thread::spawn(test).join().unwrap();
    }

    #[test]
    fn the_rest_is_refused_each_call() {
        on_a_thread(|| {
            assert_eq!(error_of(libc::SYS_setns, NONSENSE), Some(libc::EBADF), "no filter yet");
            assert!(restrict_rest(false));
            for call in [FORBIDDEN, FORBIDDEN_OLD, FOR_BROKER].concat() {
                assert_eq!(error_of(call, NONSENSE), Some(libc::EPERM), "call {call}");
            }
            let load_program = 5;
            assert_eq!(error_of(libc::SYS_bpf, [load_program, -1, 0]), Some(libc::EPERM));
            let look_up = 1;
            assert_ne!(error_of(libc::SYS_bpf, [look_up, -1, 0]), Some(libc::EPERM));
            assert_eq!(error_of(libc::SYS_kill, [1, 0, 0]), Some(libc::EPERM));
            let own = i64::from(std::process::id());
            assert_eq!(error_of(libc::SYS_kill, [own, 0, 0]), None);
            // The stack's address is 0, so that no thread could run.
            let new_user = libc::CLONE_NEWUSER | libc::CLONE_VM | libc::CLONE_FS;
            assert_eq!(error_of(libc::SYS_clone, [new_user.into(), 0, -1]), Some(libc::EPERM));
            assert_eq!(error_of(libc::SYS_clone3, [-1, 0, 0]), Some(libc::ENOSYS));
            #[cfg(target_arch = "x86_64")]
            assert_eq!(error_of(i64::from(X32) + 39, NONSENSE), Some(libc::ENOSYS));
            assert_eq!(error_of(libc::SYS_ioctl, [0, 0x5412, -1]), Some(libc::EPERM));
            assert_eq!(error_of(libc::SYS_fcntl, [0, 8, 1]), Some(libc::EPERM));
            let family = libc::AF_UNIX.into();
            let pair = |kind: libc::c_int| error_of(libc::SYS_socketpair, [family, kind.into(), 0]);
            assert_eq!(pair(libc::SOCK_RAW | libc::SOCK_CLOEXEC), Some(libc::EPERM));
            assert_eq!(pair(libc::SOCK_DGRAM), Some(libc::EPERM));
            assert!(std::os::unix::net::UnixStream::pair().is_ok());
            assert!(std::fs::read("/proc/self/stat").is_ok() && thread::spawn(|| 1).join().is_ok());
        });
    }

    #[test]
    fn the_broker_may_enter_network_namespaces_and_no_others() {
        on_a_thread(|| {
            assert!(restrict_broker());
            let enter = |kind: libc::c_int| error_of(libc::SYS_setns, [-1, kind.into(), 0]);
            assert_eq!(enter(libc::CLONE_NEWNET), Some(libc::EBADF));
            assert_eq!(enter(libc::CLONE_NEWNS), Some(libc::EPERM));
            assert_eq!(enter(0), Some(libc::EPERM));
            assert_ne!(error_of(libc::SYS_perf_event_open, NONSENSE), Some(libc::EPERM));
            assert!(std::fs::File::open("/proc/self/stat").is_ok());
            let write = std::fs::File::options().write(true).open("/dev/null");
            assert_eq!(write.unwrap_err().raw_os_error(), Some(libc::EPERM));
        });
    }
}
