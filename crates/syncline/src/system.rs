//! The few calls to the system that the standard library lacks.

/// Returns the number of the user who runs this.
#[expect(
    unsafe_code,
    reason = "getuid has no safe form in std; it cannot fail and touches nothing"
)]
pub fn user_id() -> u32 {
    // SAFETY: getuid takes no arguments, writes no memory and always succeeds (POSIX).
    unsafe { libc::getuid() }
}

/// Lets files that are made from now on be read by this user alone.
#[expect(unsafe_code, reason = "umask has no safe form in std; it cannot fail")]
pub fn make_files_private() {
    // SAFETY: umask takes a number, touches no memory and always succeeds (POSIX).
    unsafe { libc::umask(0o077) };
}

/// Raises the soft limit of open files to the hard one, and returns it.
///
/// Most systems start programs with 1,024, which would bound the connections far below the
/// setting.
#[expect(
    unsafe_code,
    reason = "getrlimit and setrlimit have no safe form in std"
)]
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 0;
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the pointer is to a live rlimit that the call only reads.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0;
    if raised { limit.rlim_cur } else { before }
}

/// Asks a process that we started to end (SIGTERM).
#[expect(
    unsafe_code,
    reason = "std can only kill a child, and a node is to end cleanly"
)]
pub fn terminate(process: u32) {
    if let Ok(process) = libc::pid_t::try_from(process) {
        // SAFETY: kill takes two numbers and touches no memory; the child was not waited for yet,
        // so its number is still its own.
        unsafe { libc::kill(process, libc::SIGTERM) };
    }
}
