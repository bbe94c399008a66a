//! Signals, limits and the one ioctl that pulls a filesystem's plug.

#![expect(unsafe_code, reason = "the system's calls have no safe form in std")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// What a process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End in order.
    Terminate,
    /// Stand still.
    Stop,
    /// Go on.
    Continue,
}

/// Sends a signal to one process that we started.
pub fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Stop => libc::SIGSTOP,
        Signal::Continue => libc::SIGCONT,
    };
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: `kill` takes two numbers and touches no memory of ours.
    check(unsafe { libc::kill(pid, number) })
}

/// Stops a filesystem where it stands, without flushing its journal, as a power cut does.
#[cfg(target_os = "linux")]
pub fn shut_filesystem_down(mount: &Path) -> io::Result<()> {
    const FS_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
    const NO_LOG_FLUSH: u32 = 2;
    let root = File::open(mount)?;
    let how = NO_LOG_FLUSH;
    // SAFETY: the call reads one u32 behind the pointer, which lives until it returns.
    check(unsafe { libc::ioctl(root.as_raw_fd(), FS_IOC_SHUTDOWN as _, &raw const how) })
}

/// Stops a filesystem where it stands: only Linux can.
#[cfg(not(target_os = "linux"))]
pub fn shut_filesystem_down(_mount: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Says whether we are root.
pub fn is_root() -> bool {
    // SAFETY: `geteuid` takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Raises how many descriptors this process may hold, as far as it is let, and returns how many.
pub fn raise_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call fills the struct behind the pointer.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the call reads the struct behind the pointer.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

/// Asks the kernel for a small receive buffer, so that a reader that stops is soon noticed.
pub fn small_receive_buffer(socket: &impl std::os::fd::AsFd, bytes: i32) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let size = libc::socklen_t::try_from(size_of::<i32>()).expect("four bytes");
    // SAFETY: the call reads `size` bytes behind the pointer.
    check(unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const bytes).cast(),
            size,
        )
    })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
