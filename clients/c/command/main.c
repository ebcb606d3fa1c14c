/* truekv - the command of people and scripts that talk to truekvd; see command.h. */
#include "clients/c/command/command.h"

int main(int argc, char **argv)
{
    return (int)truekv_main(argc, argv);
}
