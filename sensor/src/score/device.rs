//! The device tensors live on: the only file that knows which one it is.

use candle_core::Device;

/// The device for training and scoring.
pub fn device() -> Device {
    Device::Cpu
}
