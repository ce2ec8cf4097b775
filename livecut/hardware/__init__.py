"""What the machine has: V4L2 devices and NVIDIA GPUs."""
