//! Frames of this machine for some seconds, for commands that sum them up.

use std::time::Duration;

use super::{Failure, give_up_privileges, signals::EndSignals};
use crate::{
    collect::{Clock, Collector, Options},
    frame::Frame,
};

/// The length of a frame.
pub(super) const FRAME: Duration = Duration::from_secs(1);

/// Passes on so many frames. A signal ends it early.
pub(super) async fn watch(
    options: Options,
    frames: u64,
    end: &mut EndSignals,
    mut each: impl FnMut(&mut Collector, &Frame),
) -> Result<(), Failure> {
    let options = Options { wait_for_symbols: true, interval: FRAME, ..options };
    let mut collector = Collector::start(options)?;
    give_up_privileges(&collector, false);
    let mut clock = Clock::start(FRAME);
    for _ in 0..frames {
        if end.comes_before(clock.frame(&mut collector)).await {
            break;
        }
        let frame = collector.frame()?;
        each(&mut collector, &frame);
    }
    Ok(())
}
