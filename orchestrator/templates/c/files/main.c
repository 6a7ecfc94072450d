#include <stdio.h>

static int square(int number) {
    return number * number;
}

int main(void) {
    printf("Hello from C\n");
    for (int number = 1; number <= 5; number++) {
        printf("%d%c", square(number), number < 5 ? ' ' : '\n');
    }
    return 0;
}
