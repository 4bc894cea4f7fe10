//! `--preserve-fds`: open files of the caller that a container's process gets.

use crate::{Error, Result};

/// The first that is no standard stream.
const FIRST: u32 = 3;

/// Checks that there are so many, behind those that systemd has passed on (sd_listen_fds(3)). Before this process opens any
/// of its own, which would be taken for them.
pub fn check_preserved_fds(count: u32) -> Result<()> {
    let passed_on = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse::<u16>().ok());
    check(FIRST + u32::from(passed_on.unwrap_or(0)), count)
}

fn check(first: u32, count: u32) -> Result<()> {
    for number in 0..count {
        let path = format!("/proc/self/fd/{}", first.saturating_add(number));
        std::fs::metadata(&path).map_err(|e| {
            Error::io(format!("unable to stat preserved-fd {number} (of {count}): stat {path}"), e)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_missing_is_named() {
        check(0, 3).unwrap();
        // No process has so many.
        let said = check(1 << 30, u32::MAX).unwrap_err().to_string();
        let want = "unable to stat preserved-fd 0 (of 4294967295): stat /proc/self/fd/1073741824: ";
        assert_eq!(said, format!("{want}no such file or directory"));
    }
}
