"""The checkpoints of VideoReward as they were released, converted to folders of ours."""
