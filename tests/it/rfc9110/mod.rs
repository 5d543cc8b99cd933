//! RFC 9110, one module for each section that this crate decides something of.

#[cfg(feature = "gateway-proxy")]
mod section_10_2_3;
#[cfg(feature = "static-files")]
mod section_12;
#[cfg(feature = "static-files")]
mod section_13;
#[cfg(feature = "static-files")]
mod section_14;
#[cfg(feature = "gateway-proxy")]
mod section_7_2;
#[cfg(feature = "gateway-proxy")]
mod section_7_6;
