"""Compiled programs are kept where users expect caches, unless they say otherwise."""

from lts_jax.programs import keep_programs


def test_programs_are_kept_below_the_users_cache_folder() -> None:
    environment = {"HOME": "/home/ada"}
    keep_programs(environment)
    folder = environment.pop("JAX_COMPILATION_CACHE_DIR")
    assert folder.startswith("/home/ada/.cache/lts_jax/programs-")
    assert environment == {
        "HOME": "/home/ada",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_COMPILATION_CACHE_MAX_SIZE": "1073741824",
    }
    elsewhere = {"HOME": "/home/ada", "XDG_CACHE_HOME": "/scratch"}
    keep_programs(elsewhere)
    assert elsewhere["JAX_COMPILATION_CACHE_DIR"] == folder.replace("/home/ada/.cache", "/scratch")


def test_what_the_user_says_is_left_alone() -> None:
    for mine in ({"JAX_COMPILATION_CACHE_DIR": "/mine"}, {"JAX_COMPILATION_CACHE_DIR": ""}):
        environment = dict(mine)
        keep_programs(environment)
        assert environment == mine
