"""x"""


class Passthrough:
    async def serve(self, *a): ...
