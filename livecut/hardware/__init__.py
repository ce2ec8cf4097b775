"""What the machine has: the CPU, V4L2 devices and NVIDIA GPUs."""
