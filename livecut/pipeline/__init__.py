"""Source, segmenter, background, guard and sinks, wired and run."""
