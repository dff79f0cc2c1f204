"""The files beside a Compose file: .env, env_file, overrides, configs, secrets; and profiles."""

from __future__ import annotations

from support.scenario import Scenario


def test_environment_comes_from_env_file_and_environment(scenario: Scenario) -> None:
    scenario.up()
    assert scenario.exec("app", "sh", "-c", "echo $PLAIN/$OVER").out == "from file/environment\n"


def test_configs_and_secrets_are_files_inside(scenario: Scenario) -> None:
    scenario.up()
    assert scenario.exec("app", "cat", "/settings.ini").out == "level = from dotenv\n"
    assert scenario.exec("app", "cat", "/run/secrets/password").out == "s3cret\n"
    assert scenario.exec("app", "cat", "/run/secrets/renamed").out == "t0ken"


def test_an_override_file_is_found_and_merged(scenario: Scenario) -> None:
    override = "services:\n  app:\n    environment:\n      OVER: override\n"
    (scenario.directory / "compose.override.yaml").write_text(override)
    scenario.up()
    assert scenario.exec("app", "sh", "-c", "echo $PLAIN/$OVER").out == "from file/override\n"


def test_a_profile_is_off_until_named(scenario: Scenario) -> None:
    scenario.up()
    assert scenario.services() == ["app"]
    scenario.run("--profile", "extra", "up", "-d")
    assert scenario.services() == ["app", "extra"]
    scenario.run("--profile", "extra", "down")


def test_the_project_is_found_from_a_directory_below(scenario: Scenario) -> None:
    below = scenario.directory / "src/deep"
    below.mkdir(parents=True)
    assert scenario.run("config", "--services", directory=below).out.split() == ["app"]


def test_a_file_and_name_of_ones_own(scenario: Scenario) -> None:
    scenario.edit("1000:1000", "1001:1001")
    (scenario.directory / "compose.yaml").rename(scenario.directory / "mine.yml")
    done = scenario.run("-f", "mine.yml", "-p", "chosen-name", "config")
    assert "name: chosen-name" in done.out
    (scenario.directory / "mine.yml").rename(scenario.directory / "compose.yaml")
