//! Signals, and sessions of their own: what the standard library does not offer.

#![expect(unsafe_code, reason = "the system's calls have no safe form in std")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Ends a server in order.
pub const TERMINATE: i32 = libc::SIGTERM;
/// Ends PostgreSQL in order without waiting for its clients.
pub const INTERRUPT: i32 = libc::SIGINT;
/// Ends anything.
pub const KILL: i32 = libc::SIGKILL;

/// Sends a signal to a process that we started; one that has ended already is no failure.
pub fn signal(pid: u32, number: i32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return;
    };
    // SAFETY: `kill` takes two numbers and touches no memory of ours.
    let _ = unsafe { libc::kill(pid, number) };
}

/// Sends a signal to all of the group that a process of ours leads.
pub fn signal_group(leader: u32, number: i32) {
    let Ok(leader) = libc::pid_t::try_from(leader) else {
        return;
    };
    // SAFETY: `kill` takes two numbers and touches no memory of ours.
    let _ = unsafe { libc::kill(-leader, number) };
}

/// Lets a program lead a session of its own, so that no signal meant for us reaches its children.
pub fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec, `setsid` is one system call and allocates nothing.
    let lead = || match unsafe { libc::setsid() } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(lead) };
}

/// Lets a program be told to end if we end without having told it.
pub fn end_with_us(command: &mut Command, number: i32) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: between fork and exec, `prctl` is one system call and allocates nothing.
        let tie = move || match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, number) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
        // SAFETY: as above.
        unsafe { command.pre_exec(tie) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (command, number);
}

/// Says whether we are root.
pub fn is_root() -> bool {
    // SAFETY: `geteuid` takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Raises how many descriptors we and our children may hold, as far as we are let.
pub fn raise_descriptors() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls take a pointer to a struct that lives until they return.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
