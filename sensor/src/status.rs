//! What the sensor is doing now: written by the pipeline once a second, read by metrics, API and closing summary.
