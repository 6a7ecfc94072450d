package main

import "fmt"

func factorial(n int) int {
	if n < 2 {
		return 1
	}
	return n * factorial(n-1)
}

func main() {
	fmt.Println("Hello from Go")
	fmt.Println(factorial(0), factorial(1), factorial(2), factorial(3), factorial(4), factorial(5))
}
