async def test_try(desk, company, tmp_path):
    async with company():
        r = await desk("mission", "Say hello twice", "--budget", "2.00", "--follow", "--out", tmp_path / "o", "--timeout", "50s")
        print(r.code); print(r.out); print(r.err)
        for c in (["ls"], ["show"], ["show", "--json"], ["artifacts", "ls", "m-"]):
            r = await desk(*c)
            print(r.code); print(r.out); print(r.err)
