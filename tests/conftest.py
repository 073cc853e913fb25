pytest_plugins = ["tests.servers.s3", "tests.servers.apiserver"]
