"""Press Run, or Ctrl+Enter, to run this program. Its output appears below."""

import platform


def fibonacci(count: int) -> list[int]:
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]


print(f"Hello from Python {platform.python_version()}")
print("Fibonacci:", *fibonacci(10))
