//! Facts about an interface.
/// Nic
#[derive(Clone, Debug)]
pub struct Nic {
    /// name
    pub name: String,
    /// index
    pub index: u32,
    /// up
    pub up: bool,
    /// queues
    pub queues: usize,
    /// default route
    pub default_route: bool,
}
