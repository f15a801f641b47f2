"""Running a study: the loop, the engines that train, the storage that keeps, shards."""
